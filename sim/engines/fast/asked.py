"""What each request is: columns of the trace and of its physics, (n,) each unless said."""

from sim.engines.fast.memory import column

arrive = column("asked_arrive")
leaf = column("asked_leaf")
prompt = column("asked_prompt")
output = column("asked_output")
patience = column("asked_patience")
follows = column("asked_follows")
follower = column("asked_follower")
think = column("asked_think")
luck = column("asked_luck")
turnaround = column("asked_turnaround")
failure = column("asked_failure")
reply = column("asked_reply")
shed = column("asked_shed")
jitter = column("asked_jitter")
slowness = column("asked_slowness")
retention = column("asked_retention")
cell = column("asked_cell")
queueing = column("asked_queueing")
cut = column("asked_cut")
takes = column("asked_takes")  # (n x takings,) turnarounds of a job that it leads, by creation
