// An SMTP server for the tests: STARTTLS or TLS, AUTH, replies by the recipient's name, and a
// journal with one folder entry a mail. Prints {"port":N} once it listens.
import './leash.mjs';
import { createHash } from 'node:crypto';
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { SMTPServer } from 'smtp-server';

const { values: options } = parseArgs({
  options: {
    port: { type: 'string', default: '0' },
    journal: { type: 'string' }, // folder for N.eml and N.json
    cert: { type: 'string' },
    key: { type: 'string' },
    tls: { type: 'boolean', default: false }, // from the first byte
    auth: { type: 'string' }, // user:password
    tokens: { type: 'string' }, // XOAUTH2 and nothing else: a file of "user token" lines that are accepted now
    'refuse-token': { type: 'string', default: 'challenge' }, // how the others are refused: challenge | 535 | disabled | echo
    'delay-data': { type: 'string', default: '0' }, // ms between the final dot and its reply
    'silent-after-data': { type: 'string', default: '0' }, // so many mails get no reply to the final dot
    'refuse-sender': { type: 'boolean', default: false }, // 550 to MAIL FROM
    'refuse-data': { type: 'boolean', default: false }, // 554 after the final dot
  },
});

let count = 0;
let silent = Number(options['silent-after-data']);

function reply(code, text) {
  return Object.assign(new Error(text), { responseCode: code });
}

function record(session, bytes) {
  const name = String(++count).padStart(6, '0');
  const entry = {
    from: session.envelope.mailFrom.address,
    to: session.envelope.rcptTo.map((recipient) => recipient.address),
    secure: session.secure,
    user: session.user ?? null,
    sha256: createHash('sha256').update(bytes).digest('hex'),
  };
  writeFileSync(join(options.journal, `${name}.eml`), bytes);
  // Renamed last: who sees the entry finds both files whole.
  writeFileSync(join(options.journal, `${name}.part`), JSON.stringify(entry));
  renameSync(join(options.journal, `${name}.part`), join(options.journal, `${name}.json`));
}

// Refusals as Exchange Online and Gmail give them: the challenge of
// https://developers.google.com/gmail/imap/xoauth2-protocol (334 with JSON in base64, 535 after the
// client's empty answer), and the replies of
// https://learn.microsoft.com/exchange/clients-and-mobile-in-exchange-online/authenticated-client-smtp-submission
function judgeToken(user, token, done) {
  const accepted = readFileSync(options.tokens, 'utf8').split('\n');
  if (accepted.includes(`${user} ${token}`)) return done(null, { user });
  switch (options['refuse-token']) {
    case '535':
      return done(reply(535, '5.7.3 Authentication unsuccessful [BN0PR04CA0001.namprd04.prod.outlook.com]'));
    case 'disabled':
      return done(
        reply(535, '5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Mailbox.'),
      );
    case 'echo': // an odd one, that repeats what it was given
      return done(reply(535, `5.7.3 what is ${token.slice(0, 300)}?`));
    default:
      return done(null, { data: { status: '400', schemes: 'Bearer', scope: 'https://outlook.office.com/' } });
  }
}

const server = new SMTPServer({
  secure: options.tls,
  cert: options.cert && readFileSync(options.cert),
  key: options.key && readFileSync(options.key),
  hidePIPELINING: true,
  disabledCommands: [...(options.cert ? [] : ['STARTTLS']), ...(options.auth ? [] : ['AUTH'])],
  authOptional: !options.auth,
  size: 10_240_000,
  logger: false,
  ...(options.tokens && { authMethods: ['XOAUTH2'] }),
  onAuth({ username, password, accessToken }, session, done) {
    if (options.tokens) return judgeToken(username, accessToken, done);
    if (`${username}:${password}` === options.auth) return done(null, { user: username });
    return done(reply(535, '5.7.8 Authentication credentials invalid'));
  },
  onMailFrom({ address }, session, done) {
    if (options['refuse-sender']) return done(reply(550, `5.7.60 <${address}> may not send here`));
    return done();
  },
  onRcptTo({ address }, session, done) {
    if (address.startsWith('refused@')) return done(reply(550, `5.1.1 <${address}> no such user`));
    if (address.startsWith('later@')) return done(reply(451, '4.2.0 mailbox busy, try again'));
    return done();
  },
  onData(stream, session, done) {
    const pieces = [];
    stream.on('data', (piece) => pieces.push(piece));
    stream.on('end', () => {
      const bytes = Buffer.concat(pieces);
      if (stream.sizeExceeded) return done(reply(552, '5.3.4 message too large'));
      if (options['refuse-data']) return done(reply(554, '5.6.0 this is spam'));
      record(session, bytes);
      if (silent-- > 0) return undefined;
      return setTimeout(() => done(null, `2.0.0 queued as ${count}`), Number(options['delay-data']));
    });
  },
});

server.on('error', (error) => {
  if (!server.server.listening) throw error;
});
server.listen(Number(options.port), '127.0.0.1', () => {
  console.log(JSON.stringify({ port: server.server.address().port }));
});
