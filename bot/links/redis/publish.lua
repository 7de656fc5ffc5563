-- Appends each payload to a stream exactly once, however often it is sent.
--
-- KEYS[1] the stream, KEYS[2] the sender's sequence key (same hash slot)
-- ARGV    lifetime of the sequence key in seconds, MAXLEN of the stream (0: never trimmed), then sequence, payload, sequence, payload, …
--
-- An entry whose sequence is not above the stored one has been appended before: it is skipped. Answers the stored sequence.
-- Redis checks memory and read-only state once for the whole script: an append and its sequence are stored both or not at all.
local stored = redis.call('GET', KEYS[2]) or '0'
for i = 3, #ARGV, 2 do
  if tonumber(ARGV[i]) > tonumber(stored) then
    if ARGV[2] == '0' then
      redis.call('XADD', KEYS[1], '*', 'payload', ARGV[i + 1])
    else
      redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[2], '*', 'payload', ARGV[i + 1])
    end
    stored = ARGV[i]
    redis.call('SET', KEYS[2], stored, 'EX', ARGV[1])
  end
end
return stored
