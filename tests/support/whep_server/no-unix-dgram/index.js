exports.createSocket = undefined;
