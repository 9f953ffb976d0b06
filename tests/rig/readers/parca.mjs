// SPDX-License-Identifier: Apache-2.0

// A Parca server's WriteRaw for tests: gRPC by grpc-js, the messages by Parca's own generated client.
//
//   node parca.mjs FOLDER     listens on a free port of 127.0.0.1, prints it; request N is N.json and its profiles N-1.pb.gz, ...

import { writeFileSync } from "node:fs";
import { register } from "node:module";
import { join } from "node:path";

import grpc from "@grpc/grpc-js";

// The generated files import each other without ".js", which a bundler would add.
register("data:text/javascript," + encodeURIComponent(`
export async function resolve(specifier, context, next) {
  try {
    return await next(specifier, context);
  } catch (error) {
    if (!specifier.startsWith(".")) throw error;
    return next(specifier + ".js", context);
  }
}`));
const { ProfileStoreService, WriteRawRequest, WriteRawResponse } = await import(
  "./node_modules/@parca/client/dist/parca/profilestore/v1alpha1/profilestore.js"
);

const folder = process.argv[2];
let n = 0;

function writeRaw(call, answer) {
  for (const series of call.request.series) {
    n += 1;
    const problems = [];
    const labels = {};
    for (const { name, value } of series.labels.labels) {
      if (name in labels) problems.push(`label ${name} is there twice`);
      labels[name] = value;
    }
    const files = series.samples.map((sample, i) => {
      const file = join(folder, `${n}-${i + 1}.pb.gz`);
      writeFileSync(file, sample.rawProfile);
      return file;
    });
    writeFileSync(join(folder, `${n}.json`), JSON.stringify({ how: "parca", labels, files, problems }));
  }
  answer(null, {});
}

const server = new grpc.Server({ "grpc.max_receive_message_length": 64 << 20 });
server.addService(
  {
    writeRaw: {
      path: `/${ProfileStoreService.typeName}/WriteRaw`,
      requestStream: false,
      responseStream: false,
      requestDeserialize: (bytes) => WriteRawRequest.fromBinary(bytes),
      requestSerialize: (message) => Buffer.from(WriteRawRequest.toBinary(message)),
      responseDeserialize: (bytes) => WriteRawResponse.fromBinary(bytes),
      responseSerialize: (message) => Buffer.from(WriteRawResponse.toBinary(message)),
    },
  },
  { writeRaw },
);
server.bindAsync("127.0.0.1:0", grpc.ServerCredentials.createInsecure(), (error, port) => {
  if (error) throw error;
  console.log(port);
});
