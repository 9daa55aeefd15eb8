/**
 * A softphone in a page: JsSIP for SIP over WebSocket, the browser's own WebRTC for media. It sends a tone and a colour of its
 * own and judges what it decodes. Bundled for the page by ../chromium-phone.ts; what it offers is window.phone.
 */
import JsSIP from 'jssip';
import { alikeShare, toneShareOf } from '../judge.ts';

/** Samples of half a second; an analyser takes a power of two. */
const RATE = 48_000;
const WINDOW = 32_768;
const [WIDTH, HEIGHT, FRAME_MS] = [320, 240, 66];

const log = [];
const state = { registered: false, session: undefined, connection: undefined, ended: undefined, offers: 0, sdp: [] };
const context = new AudioContext({ sampleRate: RATE });
const analyser = new AnalyserNode(context, { fftSize: WINDOW });
const screen = Object.assign(document.createElement('video'), { muted: true, autoplay: true, playsInline: true });
const [samples, picture] = [new Float32Array(WINDOW), document.createElement('canvas')];
[picture.width, picture.height] = [WIDTH / 4, HEIGHT / 4];
const reader = picture.getContext('2d', { willReadFrequently: true });

const volume = new GainNode(context, { gain: 0.25 });

function toneTrack(hertz) {
  const oscillator = new OscillatorNode(context, { frequency: hertz });
  const output = new MediaStreamAudioDestinationNode(context, { channelCount: 1 });
  oscillator.connect(volume).connect(output);
  oscillator.start();
  return output.stream.getAudioTracks()[0];
}

function colourTrack([r, g, b]) {
  const canvas = Object.assign(document.createElement('canvas'), { width: WIDTH, height: HEIGHT });
  const pen = canvas.getContext('2d');
  const paint = () => {
    pen.fillStyle = `rgb(${r} ${g} ${b})`;
    pen.fillRect(0, 0, WIDTH, HEIGHT);
  };
  paint();
  setInterval(paint, FRAME_MS);
  document.body.append(canvas);
  return canvas.captureStream(1_000 / FRAME_MS).getVideoTracks()[0];
}

function receive({ track }) {
  const stream = new MediaStream([track]);
  if (track.kind === 'video') {
    screen.srcObject = stream;
    return;
  }
  // Chromium feeds WebAudio from a remote track only while an element plays it too.
  Object.assign(new Audio(), { srcObject: stream, muted: true, autoplay: true });
  context.createMediaStreamSource(stream).connect(analyser);
}

function follow(session) {
  state.session = session;
  const attach = (connection) => {
    state.connection = connection;
    connection.addEventListener('track', receive);
  };
  // Of a call that we make there is one already.
  if (session.connection) attach(session.connection);
  else session.on('peerconnection', ({ peerconnection }) => attach(peerconnection));
  session.on('sdp', ({ originator, type, sdp }) => state.sdp.push({ originator, type, sdp }));
  session.on('reinvite', () => state.offers++);
  for (const name of ['confirmed', 'ended', 'failed'])
    session.on(name, ({ cause, message }) => {
      log.push(`${name} ${cause ?? ''} ${message?.status_code ?? ''}`.trim());
      if (name !== 'confirmed') state.ended = cause;
    });
}

window.phone = {
  /** @param password undefined: does not register. */
  async start({ wss, name, password, hertz, rgb, bundlePolicy = 'balanced' }) {
    await context.resume();
    document.body.append(screen);
    const tracks = [toneTrack(hertz), ...(rgb === undefined ? [] : [colourTrack(rgb)])];
    const options = { mediaStream: new MediaStream(tracks), pcConfig: { iceServers: [], bundlePolicy } };
    const ua = new JsSIP.UA({
      sockets: [new JsSIP.WebSocketInterface(wss)],
      uri: `sip:${name}@127.0.0.1`,
      register: password !== undefined,
      ...(password === undefined ? {} : { password, authorization_user: name }),
    });
    for (const event of ['connected', 'disconnected', 'registrationFailed']) ua.on(event, () => log.push(event));
    ua.on('registered', () => {
      state.registered = true;
    });
    ua.on('newRTCSession', ({ originator, session }) => {
      follow(session);
      if (originator === 'remote') session.answer(options);
    });
    const connected = new Promise((resolve) => ua.on('connected', resolve));
    this.call = async (target) => {
      await connected;
      ua.call(target, options);
    };
    ua.start();
    this.stop = () => ua.stop();
  },
  hangup: () => state.session.terminate(),
  /** By a re-INVITE; resolves when that is answered. */
  hold: (on) => new Promise((resolve) => state.session[on ? 'hold' : 'unhold']({}, resolve)),
  /** @param gain 0: silence */
  speak(gain) {
    volume.gain.value = gain;
  },
  hears(hertz) {
    analyser.getFloatTimeDomainData(samples);
    return toneShareOf(samples, RATE, hertz, 0.005);
  },
  /** Root mean square of what was heard last. */
  loudness() {
    analyser.getFloatTimeDomainData(samples);
    return Math.hypot(...samples) / Math.sqrt(WINDOW);
  },
  sees(rgb) {
    if (screen.videoWidth === 0) return 0;
    reader.drawImage(screen, 0, 0, picture.width, picture.height);
    const { data } = reader.getImageData(0, 0, picture.width, picture.height);
    return alikeShare(data, 4, rgb);
  },
  state: () => ({
    ...{ log, registered: state.registered, ended: state.ended, offers: state.offers, sdp: state.sdp },
    ice: state.connection?.iceConnectionState,
    dtls: state.connection?.connectionState,
  }),
  async cipher() {
    const report = await state.connection.getStats();
    return [...report.values()].find(({ type }) => type === 'transport').srtpCipher;
  },
  async codecs() {
    const report = await state.connection.getStats();
    return [...report.values()].filter(({ type }) => type === 'codec').map(({ mimeType }) => mimeType);
  },
  async stats() {
    const report = await state.connection.getStats();
    return [...report.values()].filter(({ type }) =>
      /^(inbound-rtp|outbound-rtp|transport|candidate-pair)$/.test(type),
    );
  },
};
