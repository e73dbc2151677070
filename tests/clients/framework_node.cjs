// A CloudEvent function under @google-cloud/functions-framework, on a free port. What it is given
// it prints, a line each.

const { createRequire } = require('node:module');
const { join } = require('node:path');

const load = createRequire(join(process.env.NODE_MODULES, 'here.js'));
const functions = load('@google-cloud/functions-framework');
const { getTestServer } = load('@google-cloud/functions-framework/testing');

const met = new Set();

functions.cloudEvent('f', (event) => {
  console.log(`got ${JSON.stringify(event)}`);
  const key = event.subject;
  if (key === 'boom' || (key === 'flaky' && !met.has(event.id))) {
    met.add(event.id);
    throw new Error('no ink left');
  }
  if (key === 'slow') {
    return new Promise(() => {});
  }
  return { key, size: event.data.Records[0].s3.object.size };
});

const server = getTestServer('f');
server.listen(0, '127.0.0.1', () => {
  console.log(`listening http://127.0.0.1:${server.address().port}`);
});
