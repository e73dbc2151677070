// Runs the audits of the GraphQL over HTTP specification that come with the package graphql-http,
// and says as JSON how each one went.
//
// usage: NODE_MODULES=… node graphql_http_audit.cjs URL
'use strict';

const path = require('path');
const { auditServer } = require(path.join(process.env.NODE_MODULES, 'graphql-http'));

auditServer({ url: process.argv[2] }).then((results) => {
  const plain = results.map(({ id, name, status, reason }) => ({ id, name, status, reason }));
  process.stdout.write(JSON.stringify(plain));
});
