-- Trims a stream as far as a policy says and no consumer group objects.
--
-- KEYS[1] the stream
-- ARGV    entries to keep (0: any number), the oldest id to keep (empty: any age)
--
-- A group objects to losing what it has not read, or has read and not acknowledged. Takes whole nodes of the stream, at most
-- 10,000 entries a call. Answers the group that held it back most, or an empty string.
local function older(a, b)
  local am, as = string.match(a, '(%d+)%-(%d+)')
  local bm, bs = string.match(b, '(%d+)%-(%d+)')
  am, as, bm, bs = tonumber(am), tonumber(as), tonumber(bm), tonumber(bs)
  return am < bm or (am == bm and as < bs)
end

if redis.call('EXISTS', KEYS[1]) == 0 then return '' end
local limit = ARGV[2]
local surplus = redis.call('XLEN', KEYS[1]) - tonumber(ARGV[1])
if ARGV[1] ~= '0' and surplus > 0 then
  local oldest = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', math.min(surplus, 10000) + 1)
  local kept = oldest[#oldest][1]
  if limit == '' or older(limit, kept) then limit = kept end
end
if limit == '' then return '' end
local holder = ''
for _, fields in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
  local group = {}
  for i = 1, #fields, 2 do group[fields[i]] = fields[i + 1] end
  local reached = group['last-delivered-id']
  if group['pending'] > 0 then reached = redis.call('XPENDING', KEYS[1], group['name'])[2] end
  if older(reached, limit) then limit, holder = reached, group['name'] end
end
redis.call('XTRIM', KEYS[1], 'MINID', '~', limit, 'LIMIT', 10000)
return holder
