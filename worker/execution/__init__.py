"""Run one script on this machine and tell exactly how it went.

``prepare`` turns a `Script` into a `Plan`, `Launcher` hands the plan to a supervisor, and the supervisor writes an
`ExitRecord` that outlives the agent. Nothing here knows Redis or Celery, and nothing is imported beyond the
standard library: supervisors run on every machine of a fleet and must stay small.
"""
