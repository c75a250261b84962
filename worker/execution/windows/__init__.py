"""Scripts on Windows: how one is prepared and started, and the job object that holds what it starts."""
