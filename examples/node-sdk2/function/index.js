const AWS = require('aws-sdk');

const s3 = new AWS.S3();

exports.handler = async (event) => {
  const { bucket, object } = event.Records[0].s3;
  // Keys in S3 notifications are form-encoded: a plus sign is a space.
  const key = decodeURIComponent(object.key.replace(/\+/g, ' '));

  const { Body } = await s3.getObject({ Bucket: bucket.name, Key: key }).promise();
  const text = Body.toString('utf-8');

  await s3.putObject({
    Bucket: 'results',
    Key: key,
    Body: text.toUpperCase(),
    ContentType: 'text/plain; charset=utf-8',
  }).promise();
  console.log(`upper-cased ${text.length} characters of ${key}`);
  return { bucket: 'results', key };
};
