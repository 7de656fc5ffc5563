-- Appends each payload to a stream exactly once, however often it is sent, for the bot that holds the stream's fence.
--
-- KEYS[1] the stream, KEYS[2] the sender's sequence key, KEYS[3] its fence key, KEYS[4] its time zero, if it keeps one
--         (one hash slot)
-- ARGV    the sender's token, lifetime of its keys in seconds, entries that the stream keeps (0: all), the sequence that
--         the sender knows to be stored, its time zero (empty: none yet), then sequence, payload, sequence, payload, …
--
-- An entry whose sequence is not above the stored one has been appended before: it is skipped. Answers the stored sequence.
-- Where less is stored than the sender knows of, this Redis has forgotten something: nothing is appended, so that the
-- sender can begin there again. Where another bot has put up its fence, nothing is appended: both would use the same
-- numbers. Answers -1.
-- Redis checks memory and read-only state once for the whole script: an append and its sequence are stored both or not at all.
local holder = redis.call('GET', KEYS[3])
if holder and holder ~= ARGV[1] then return '-1' end
redis.call('SET', KEYS[3], ARGV[1], 'EX', ARGV[2])
if KEYS[4] and ARGV[5] ~= '' then redis.call('SET', KEYS[4], ARGV[5], 'EX', ARGV[2]) end
local stored = redis.call('GET', KEYS[2]) or '0'
if tonumber(stored) < tonumber(ARGV[4]) then return stored end
for i = 6, #ARGV, 2 do
  if tonumber(ARGV[i]) > tonumber(stored) then
    redis.call('XADD', KEYS[1], '*', 'payload', ARGV[i + 1])
    stored = ARGV[i]
    redis.call('SET', KEYS[2], stored, 'EX', ARGV[2])
  end
end
-- What the lifecycle went through stays, however much health flaps: the oldest of the other entries go first.
local keep = tonumber(ARGV[3])
if keep > 0 then
  local surplus = redis.call('XLEN', KEYS[1]) - keep
  if surplus > 0 then
    for _, entry in ipairs(redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', surplus + 200)) do
      if surplus > 0 and not string.find(entry[2][2], '"event":"status"', 1, true) then
        redis.call('XDEL', KEYS[1], entry[1])
        surplus = surplus - 1
      end
    end
    redis.call('XTRIM', KEYS[1], 'MAXLEN', '~', 2 * keep)
  end
end
return stored
