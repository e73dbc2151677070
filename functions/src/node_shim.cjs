// AWS SDK for JavaScript v2 does not know AWS_ENDPOINT_URL. This file, loaded before the function
// (NODE_OPTIONS=--require), makes `new AWS.S3()` use it, with path-style addresses, unless the
// code gives an endpoint of its own. Version 3 needs nothing and is left alone.
'use strict';

const Module = require('module');
const endpoint = process.env.AWS_ENDPOINT_URL_S3 || process.env.AWS_ENDPOINT_URL;

if (endpoint) {
  // By configuration, not by SDK: while it loads, the SDK replaces its first one.
  const seen = new WeakSet();
  const load = Module._load;
  Module._load = function (request, parent, isMain) {
    const loaded = load.call(this, request, parent, isMain);
    // What `aws-sdk` and `aws-sdk/clients/s3` have in common.
    if (/[\\/]core(\.js)?$/.test(request)) {
      const file = Module._resolveFilename(request, parent, isMain);
      if (/[\\/]aws-sdk[\\/]lib[\\/]core\.js$/.test(file) && Module._cache[file]?.loaded &&
          !seen.has(loaded.config)) {
        seen.add(loaded.config);
        const s3 = { endpoint, s3ForcePathStyle: true, ...loaded.config.s3 };
        loaded.config.update({ s3 }, true);
      }
    }
    return loaded;
  };
}
