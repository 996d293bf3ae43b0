// Sound of a phone or computer as 16-bit WAV at 16 kHz: by its microphone where the page may have it, else from a file.
const RATE = 16000;

export const canRecord = () => Boolean(navigator.mediaDevices && window.AudioWorkletNode);

export async function record(seconds, showLevel) {
  const media = await navigator.mediaDevices.getUserMedia({
    // the device's own microphone has none of these either
    audio: { channelCount: 1, echoCancellation: false, noiseSuppression: false, autoGainControl: false },
  });
  const context = new AudioContext({ sampleRate: RATE });
  try {
    await context.audioWorklet.addModule('/worklet.js');
    const node = new AudioWorkletNode(context, 'tap');
    const parts = [];
    node.port.onmessage = ({ data }) => {
      parts.push(data);
      showLevel(20 * Math.log10(Math.max(...data.map(Math.abs), 1e-5)));
    };
    context.createMediaStreamSource(media).connect(node);
    await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
    return wav(parts);
  } finally {
    media.getTracks().forEach((track) => track.stop());
    await context.close();
  }
}

export async function fromFile(file) {
  const context = new OfflineAudioContext(1, RATE, RATE);
  const sound = await context.decodeAudioData(await file.arrayBuffer()); // resamples
  const mono = new Float32Array(Math.min(sound.length, 30 * RATE));
  for (let channel = 0; channel < sound.numberOfChannels; channel += 1) {
    const data = sound.getChannelData(channel);
    for (let at = 0; at < mono.length; at += 1) mono[at] += data[at] / sound.numberOfChannels;
  }
  return wav([mono]);
}

function wav(parts) {
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  const view = new DataView(new ArrayBuffer(44 + 2 * length));
  const text = (at, letters) => [...letters].forEach((one, shift) => view.setUint8(at + shift, one.charCodeAt(0)));
  text(0, 'RIFF');
  view.setUint32(4, 36 + 2 * length, true);
  text(8, 'WAVEfmt ');
  view.setUint32(16, 16, true);
  view.setUint16(20, 1, true);
  view.setUint16(22, 1, true);
  view.setUint32(24, RATE, true);
  view.setUint32(28, 2 * RATE, true);
  view.setUint16(32, 2, true);
  view.setUint16(34, 16, true);
  text(36, 'data');
  view.setUint32(40, 2 * length, true);
  let at = 44;
  for (const part of parts) {
    for (const value of part) {
      view.setInt16(at, Math.max(-1, Math.min(1, value)) * 32767, true);
      at += 2;
    }
  }
  return new Blob([view.buffer], { type: 'audio/wav' });
}
