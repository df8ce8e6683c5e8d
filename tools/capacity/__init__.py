"""How many devices a load needs: a simulation of the engine, of its replicas and of their router.

    costs       seconds that each step of a device takes, from files of several kinds
    workload    when requests arrive, how long their texts are, and whose voice they want
    device      one engine: slots, prefills, decode steps, chunks; its rules are the engine's own
    cluster     replicas behind a queue: the router's choice, recordings with affinity
    simulation  runs, their percentiles and spread, the smallest number of devices
    report      tables for people and JSON for programs
    measure     measures costs on this machine; worker is its process
    check       predicted beside measured figures of a real server
"""
