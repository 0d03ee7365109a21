-- Posts one body over and over: wrk … -s post.lua URL -- BODY [HEADER VALUE]…; says what came of it as JSON.
init = function(args)
  local file = assert(io.open(args[1], "rb"))
  wrk.method, wrk.body = "POST", file:read("*a")
  file:close()
  for at = 2, #args, 2 do wrk.headers[args[at]] = args[at + 1] end
  request = wrk.format()
  wrk.request = function() return request end
end

done = function(summary, latency, requests)
  local lost = summary.errors
  io.write(string.format(
    '\n{"requests":%d,"seconds":%f,"p50":%f,"p99":%f,"errors":%d}\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e6, latency:percentile(99) / 1e6,
    lost.connect + lost.read + lost.write + lost.status + lost.timeout))
end
