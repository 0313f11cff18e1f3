"""What becomes the ledger: its columns of requests, (n,) each."""

from sim.engines.fast.memory import column

model = column("metered_model")
mode = column("metered_mode")
prompt = column("metered_prompt")
cached = column("metered_cached")
cached_audio = column("metered_cached_audio")
source = column("metered_source")
arrived = column("metered_arrived")
sent = column("metered_sent")
done = column("metered_done")
attempts = column("metered_attempts")
status = column("metered_status")
job = column("metered_job")
throttled = column("metered_throttled")
shed = column("metered_shed")
timeouts = column("metered_timeouts")
forbidden = column("metered_forbidden")
backoff = column("metered_backoff")
queued = column("metered_queued")
