"""Whether a machine computes what it should, and how fast.

    machine     versions of what is installed, and which do not fit together
    reference   what the networks should compute, stored with a model or computed on the CPU
    steps       what a process of its own does on the device: compare a network, or time it
    worker      that process; a crash or a hang there ends only the step that runs
    process     starts workers and reads what they have written
    diagnosis   which steps in which order, and which settings are the fastest that are right
    report      the result as one screen of text
"""
