"""The call itself: turn machine, router, reply, playout. One `Orchestrator` per call, gone when the call ends."""
