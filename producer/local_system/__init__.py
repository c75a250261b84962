"""`assist up`: a whole local system (server, beat, gateway, agent, Flower) as child programs of one process."""
