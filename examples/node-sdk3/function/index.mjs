import { GetObjectCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3';

const s3 = new S3Client();

export async function handler(event) {
  const { bucket, object } = event.Records[0].s3;
  // Keys in S3 notifications are form-encoded: a plus sign is a space.
  const key = decodeURIComponent(object.key.replaceAll('+', ' '));

  const { Body } = await s3.send(new GetObjectCommand({ Bucket: bucket.name, Key: key }));
  const text = await Body.transformToString();

  await s3.send(new PutObjectCommand({
    Bucket: 'results',
    Key: key,
    Body: text.toUpperCase(),
    ContentType: 'text/plain; charset=utf-8',
  }));
  console.log(`upper-cased ${text.length} characters of ${key}`);
  return { bucket: 'results', key };
}
