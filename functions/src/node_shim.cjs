// AWS SDK for JavaScript v2 does not know AWS_ENDPOINT_URL. This file, loaded before the function
// (NODE_OPTIONS=--require), makes `new AWS.S3()` use it, with path-style addresses, unless the
// code gives an endpoint of its own. Version 3 needs nothing and is left alone.
'use strict';

const Module = require('module');
const endpoint = process.env.AWS_ENDPOINT_URL_S3 || process.env.AWS_ENDPOINT_URL;

if (endpoint) {
  const seen = new WeakSet();
  const load = Module._load;
  Module._load = function (request, ...rest) {
    const loaded = load.call(this, request, ...rest);
    // The SDK's core is what `aws-sdk`, `aws-sdk/clients/s3` and bundles of it have in common.
    if (/(^|[\\/])(aws-sdk|core)([\\/.]|$)/.test(request) && isCore(loaded) && !seen.has(loaded)) {
      seen.add(loaded);
      loaded.config.update({ s3: { endpoint, s3ForcePathStyle: true, ...loaded.config.s3 } }, true);
    }
    return loaded;
  };
}

function isCore(loaded) {
  return loaded !== null && typeof loaded === 'object' && typeof loaded.VERSION === 'string' &&
    typeof loaded.Service === 'function' && typeof loaded.config?.update === 'function';
}
