"""Many lines of text to files, in an order that nobody waits for.

    lines.jsonl -> lines                        input_file, fields, line
    line -> request, in a voice                 voices
    requests -> encoded speech                  synthesizer, on one device
                                                ray_workers, on many, each with a synthesizer
    encoded speech -> files, and a manifest     output, manifest, line_index
    all of it, and how far it is                run, progress

What a line gives depends on the line, its id and the settings only, not on the lines beside it.
"""
