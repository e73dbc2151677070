import { execFileSync, spawn } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import { Worker } from 'node:worker_threads';
import { S3Client, GetObjectCommand, PutObjectCommand } from '@aws-sdk/client-s3';

const LEDGER = process.env.LEDGER;
const s3 = new S3Client({});

async function refused(way) {
  try {
    return `escaped: ${await way()}`;
  } catch (error) {
    return error.code ?? String(error);
  }
}

function connect(port, host) {
  return new Promise((resolve, reject) => {
    net.connect(port, host).once('connect', resolve).once('error', reject);
  });
}

function listen() {
  return new Promise((resolve, reject) => {
    net.createServer().once('error', reject).listen(0, '127.0.0.1', resolve);
  });
}

// What is not its own: where the ledger lies in /tmp, the way to its own folders is to be seen.
function foreign(names, ...own) {
  const found = names.filter((name) => !own.includes(name));
  if (found.length === 0) throw Object.assign(new Error('nothing'), { code: 'ENOENT' });
  return found;
}

function linked(make) {
  const own = `${fs.mkdtempSync(`${os.tmpdir()}/`)}/linked`;
  make(own);
  return fs.readFileSync(own).length;
}

export async function handler(event) {
  const { bucket, object } = event.Records[0].s3;
  const got = await s3.send(new GetObjectCommand({ Bucket: bucket.name, Key: object.key }));
  const { api, host } = JSON.parse(await got.Body.transformToString());
  const url = new URL(api);
  const found = {
    log: await refused(() => fs.readFileSync(`${LEDGER}/data/log.sqlite`).length),
    'data directory': await refused(() => foreign(fs.readdirSync(`${LEDGER}/data`), 'run', 'code')),
    'where code is changed': await refused(() => fs.readdirSync(`${LEDGER}/code`)),
    bucket: await refused(() => fs.readdirSync(`${LEDGER}/inbox`)),
    config: await refused(() => fs.readFileSync(`${LEDGER}/daybook.toml`)),
    object: await refused(() => fs.readFileSync(`${LEDGER}/inbox/${object.key}`)),
    'write to bucket': await refused(() => fs.writeFileSync(`${LEDGER}/results/forged`, '')),
    'own code': await refused(() => fs.appendFileSync(`${process.env.LAMBDA_TASK_ROOT}/index.mjs`, '')),
    link: await refused(() => linked((own) => fs.linkSync(`${LEDGER}/data/log.sqlite`, own))),
    symlink: await refused(() => linked((own) => fs.symlinkSync(`${LEDGER}/daybook.toml`, own))),
    rename: await refused(() => fs.renameSync(`${LEDGER}/inbox`, `${LEDGER}/outbox`)),
    'environment of the host': await refused(() => fs.readFileSync(`/proc/${host}/environ`)),
    api: await refused(() => connect(Number(url.port), url.hostname)),
    listen: await refused(listen),
    signal: await refused(() => process.kill(host, 'SIGTERM')),
    home: await refused(() => fs.readdirSync('/root')),
  };
  // Honest work.
  execFileSync('sh', ['-c', 'echo 1 | cat']);
  execFileSync(process.execPath, ['-e', 'process.exit(0)']);
  await new Promise((resolve, reject) => {
    spawn('true', { detached: true, stdio: 'ignore' }).once('exit', resolve).once('error', reject);
  });
  await new Promise((resolve, reject) => {
    new Worker('0', { eval: true }).once('exit', resolve).once('error', reject);
  });
  await s3.send(
    new PutObjectCommand({ Bucket: 'results', Key: 'found.json', Body: JSON.stringify(found) }),
  );
}
