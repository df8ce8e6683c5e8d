"""What the browser does with speech that is still being made: it fetches the live wav and queues its samples as they come."""

# Runs once, when the element is there. Its value is the address of a live stream, or empty to fall silent.
SCRIPT = """
let playing = null;

async function play(address) {
    const Context = window.AudioContext || window.webkitAudioContext;
    if (!Context) return;
    const context = new Context({sampleRate: 16000}), hangUp = new AbortController();
    playing = {context, hangUp};
    await context.resume();
    const root = (window.gradio_config && window.gradio_config.root) || window.location.href;
    const answer = await fetch(new URL(address, root.replace(/[?#].*/, '').replace(/\\/?$/, '/')), {signal: hangUp.signal});
    if (!answer.ok) return;
    const reader = answer.body.getReader();
    let left = new Uint8Array(0), header = 44, when = 0;
    for (;;) {
        const {done, value} = await reader.read();
        if (done) return;
        let bytes = new Uint8Array(left.length + value.length);
        bytes.set(left);
        bytes.set(value, left.length);
        const skipped = Math.min(header, bytes.length);
        header -= skipped;
        bytes = bytes.slice(skipped);
        left = bytes.slice(bytes.length & ~1);
        const samples = new Int16Array(bytes.buffer, 0, bytes.length >> 1);
        if (!samples.length) continue;
        const buffer = context.createBuffer(1, samples.length, 16000);
        buffer.getChannelData(0).set(Float32Array.from(samples, s => s / 32768));
        const source = context.createBufferSource();
        source.buffer = buffer;
        source.connect(context.destination);
        when = Math.max(when, context.currentTime + 0.05);
        source.start(when);
        when += buffer.duration;
        window.sparkttsHeard = (window.sparkttsHeard || 0) + samples.length;
    }
}

function stop() {
    if (playing) { playing.hangUp.abort(); playing.context.close(); }
    playing = null;
}

watch('value', () => { stop(); if (props.value) play(props.value).catch(() => {}); });
"""

TEMPLATE = "<span></span>"        # heard, not seen
