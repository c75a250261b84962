"""Beat, the scheduler and the sweeper: fires timed invocations, settles what was lost."""
