-- What wrk sends: arguments are the kind of request, the number of users and of items.
local kind, n_users, n_items = "recommend", 1, 1
local bodies, n = {}, 0
local start = tostring(os.time()) .. "-" .. tostring(math.random(1, 1000000000))

local function event()
  return string.format('{"user_id":"u%d","item_id":"i%d"}', math.random(0, n_users - 1),
    math.random(0, n_items - 1))
end

function init(args)
  kind, n_users, n_items = args[1], tonumber(args[2]), tonumber(args[3])
  math.randomseed(7)
  for i = 1, 64 do
    local events = {}
    for j = 1, 256 do events[j] = event() end
    bodies[i] = "[" .. table.concat(events, ",") .. "]"
  end
end

function request()
  n = n + 1
  local headers = {["content-type"] = "application/json"}
  if kind == "batch" then
    return wrk.format("POST", "/v1/events", headers, bodies[n % 64 + 1])
  elseif kind == "single" then
    local body = event():sub(1, -2) .. ',"event_id":"' .. start .. "-" .. n .. '"}'
    return wrk.format("POST", "/v1/events", headers, body)
  end
  return wrk.format("GET", "/v1/users/u" .. math.random(0, n_users - 1) .. "/recommendations?k=10")
end

function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    '{"requests":%d,"seconds":%f,"p50_ms":%f,"p99_ms":%f,"errors":%d}\n', summary.requests,
    summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
