-- One of a number of things that all bots share, such as the egresses of a server: taken, renewed and given back.
--
-- KEYS[1] who holds one (who → milliseconds at which it ends), KEYS[2] by which token (who → token), KEYS[3] for what (who →
--         ids), KEYS[4] who waits (who → since when), KEYS[5] until when they count as waiting (who → milliseconds), KEYS[6]
--         ids of what those left behind whose lease has ended   (one hash slot)
-- ARGV    `take`, `keep` or `give`; who; the token; for what, as far as that is known (empty: not yet); how many there are;
--         the lifetime of a lease and of waiting, ms; the time in ms (empty: the server's own)
--
-- Answers 1 and what was left behind: it is ours; 0: not now; -1: somebody else has one for the same, and there is no second.
-- What was left behind is the heir's until it has something of its own: told again if that answer was lost, and left behind
-- again should it die. Who gives one back and names an id has left that behind, too.
-- The first that waits is the first that gets one; who has not asked again in time does not wait any more.
local what, who, token, id = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local total, lease, patience = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local now = tonumber(ARGV[8])
if not now then
  local clock = redis.call('TIME')
  now = clock[1] * 1000 + math.floor(clock[2] / 1000)
end
local function forget(one)
  redis.call('ZREM', KEYS[1], one)
  redis.call('HDEL', KEYS[2], one)
  redis.call('HDEL', KEYS[3], one)
end
local function stop_waiting(one)
  redis.call('ZREM', KEYS[4], one)
  redis.call('ZREM', KEYS[5], one)
end
-- A clock that was set back (a replica has taken over) makes nothing last longer than it does.
for key, longest in pairs({[KEYS[1]] = lease, [KEYS[5]] = patience}) do
  for _, one in ipairs(redis.call('ZRANGEBYSCORE', key, now + longest + 1, '+inf')) do
    redis.call('ZADD', key, now + longest, one)
  end
end
for _, gone in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now)) do
  for left in string.gmatch(redis.call('HGET', KEYS[3], gone) or '', '%S+') do redis.call('SADD', KEYS[6], left) end
  forget(gone)
end
for _, gone in ipairs(redis.call('ZRANGEBYSCORE', KEYS[5], '-inf', now)) do stop_waiting(gone) end
local holder = redis.call('HGET', KEYS[2], who)
if what == 'give' then
  if holder == token then
    forget(who)
    if id ~= '' then redis.call('SADD', KEYS[6], id) end
  end
  if not holder or holder == token then stop_waiting(who) end
  return {0}
end
if holder and holder ~= token then return {-1} end
local answer = {1}
if not holder then
  if what == 'keep' then return {0} end
  redis.call('ZADD', KEYS[4], 'NX', now, who)
  redis.call('ZADD', KEYS[5], now + patience, who)
  if redis.call('ZRANK', KEYS[4], who) >= total - redis.call('ZCARD', KEYS[1]) then return {0} end
  stop_waiting(who)
  redis.call('HSET', KEYS[2], who, token)
  local heritage = redis.call('SPOP', KEYS[6], 100)
  if heritage[1] then redis.call('HSET', KEYS[3], who, table.concat(heritage, ' ')) end
end
if what == 'take' then
  for left in string.gmatch(redis.call('HGET', KEYS[3], who) or '', '%S+') do answer[#answer + 1] = left end
end
redis.call('ZADD', KEYS[1], now + lease, who)
if id ~= '' then redis.call('HSET', KEYS[3], who, id) end
for i = 1, 5 do redis.call('PEXPIRE', KEYS[i], 100 * lease) end
return answer
