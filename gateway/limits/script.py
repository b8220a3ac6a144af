"""The scripts that Redis runs: each is one round trip and one atomic step.

As in memory.py: a bucket is a hash of two times, in microseconds of Redis's own clock, at which all of the minute is
free again, and a sorted set of the open streams by the end of their leases.
"""

# KEYS: bucket and streams of each rule in turn. ARGV: tokens, 1 for a stream, the ticket's id, its lease in ms, then
# requests, tokens and streams of each rule. Answers 1 (let in) or 0, then the number of the rule that refuses (from 1),
# of what is over (1 requests, 2 tokens, 3 streams), the wait, then the time used of requests and of tokens for each.
ADMIT = """
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local minute, slack = 60000000, 0.001
local tokens, stream, lease = tonumber(ARGV[1]), ARGV[2] == '1', tonumber(ARGV[4])
local refused, what, wait = 0, 0, 0
local state = {}

local function over(used, count, limit)
  return used + (count - slack) * minute / limit - minute
end

for i = 1, #KEYS / 2 do
  local bucket, streams = KEYS[2 * i - 1], KEYS[2 * i]
  local r, t, s = tonumber(ARGV[3 * i + 2]), tonumber(ARGV[3 * i + 3]), tonumber(ARGV[3 * i + 4])
  local found = redis.call('HMGET', bucket, 'r', 't')
  local one = {
    requests = math.max((tonumber(found[1]) or 0) - now, 0),
    tokens = math.max((tonumber(found[2]) or 0) - now, 0),
    r = r, t = t, s = s,
  }
  state[i] = one
  if refused == 0 and r > 0 and over(one.requests, 1, r) > 0 then
    refused, what, wait = i, 1, over(one.requests, 1, r)
  end
  if refused == 0 and t > 0 and over(one.tokens, math.min(tokens, t), t) > 0 then
    refused, what, wait = i, 2, over(one.tokens, math.min(tokens, t), t)
  end
  if refused == 0 and s > 0 and stream then
    redis.call('ZREMRANGEBYSCORE', streams, '-inf', now)
    if redis.call('ZCARD', streams) >= s then
      refused, what, wait = i, 3, 1000000
    end
  end
end

local answer = {refused == 0 and 1 or 0, refused, what, math.ceil(wait)}
for i, one in ipairs(state) do
  local bucket, streams = KEYS[2 * i - 1], KEYS[2 * i]
  if refused == 0 then
    if one.r > 0 then one.requests = one.requests + minute / one.r end
    if one.t > 0 then one.tokens = one.tokens + math.min(tokens, one.t) * minute / one.t end
    redis.call('HSET', bucket, 'r', string.format('%.0f', now + one.requests),
      't', string.format('%.0f', now + one.tokens))
    redis.call('PEXPIRE', bucket, math.ceil(math.max(one.requests, one.tokens) / 1000) + 1000)
    if stream and one.s > 0 then
      redis.call('ZADD', streams, now + lease * 1000, ARGV[3])
      redis.call('PEXPIRE', streams, lease + 1000)
    end
  end
  answer[#answer + 1] = math.ceil(one.requests)
  answer[#answer + 1] = math.ceil(one.tokens)
end
return answer
"""

# KEYS: a bucket. ARGV: microseconds by which its tokens are free later (or sooner).
CORRECT = """
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local found = redis.call('HMGET', KEYS[1], 'r', 't')
local tokens = math.max(tonumber(found[2]) or 0, now) + tonumber(ARGV[1])
local last = math.max(tokens, tonumber(found[1]) or 0)
redis.call('HSET', KEYS[1], 't', string.format('%.0f', tokens))
redis.call('PEXPIRE', KEYS[1], math.max(math.ceil((last - now) / 1000), 0) + 1000)
return 1
"""

# KEYS: sets of streams. ARGV: a ticket's id, its lease in ms. Gives an open stream a longer lease.
RENEW = """
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
for _, streams in ipairs(KEYS) do
  redis.call('ZADD', streams, now + tonumber(ARGV[2]) * 1000, ARGV[1])
  redis.call('PEXPIRE', streams, tonumber(ARGV[2]) + 1000)
end
return 1
"""
