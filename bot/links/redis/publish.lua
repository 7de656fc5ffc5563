-- Appends each payload to a stream exactly once, however often it is sent, for the bot that holds the stream's fence.
--
-- KEYS[1] the stream, KEYS[2] the sender's sequence key, KEYS[3] its fence key (one hash slot)
-- ARGV    the sender's token, lifetime of sequence and fence key in seconds, MAXLEN of the stream (0: never trimmed),
--         then sequence, payload, sequence, payload, …
--
-- An entry whose sequence is not above the stored one has been appended before: it is skipped. Answers the stored sequence.
-- Where another bot has put up its fence, nothing is appended: both would use the same numbers. Answers -1.
-- Redis checks memory and read-only state once for the whole script: an append and its sequence are stored both or not at all.
local holder = redis.call('GET', KEYS[3])
if holder and holder ~= ARGV[1] then return '-1' end
redis.call('SET', KEYS[3], ARGV[1], 'EX', ARGV[2])
local stored = redis.call('GET', KEYS[2]) or '0'
for i = 4, #ARGV, 2 do
  if tonumber(ARGV[i]) > tonumber(stored) then
    if ARGV[3] == '0' then
      redis.call('XADD', KEYS[1], '*', 'payload', ARGV[i + 1])
    else
      redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[3], '*', 'payload', ARGV[i + 1])
    end
    stored = ARGV[i]
    redis.call('SET', KEYS[2], stored, 'EX', ARGV[2])
  end
end
return stored
