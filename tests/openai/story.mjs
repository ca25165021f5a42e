// tests/openai/story.mjs - the story of docs/from-openai.md by OpenAI's node SDK: a file as a stream (no length), a job, its
// events, a chat, streamed too. usage: OPENAI_BASE_URL=... OPENAI_API_KEY=... node story.mjs ROWS.jsonl   (beside node_modules)
import fs from "node:fs";
import OpenAI from "openai";

const client = new OpenAI({ maxRetries: 2 });
const model = process.env.MODEL ?? "smollm2-135m-instruct";
let failed = 0;
let count = 0;
const check = (name, holds, seen) => {
  count += 1;
  failed += holds ? 0 : 1;
  console.log((holds ? "ok    " : "FAIL  ") + name + (holds ? "" : `   seen: ${JSON.stringify(seen)}`));
};

const file = await client.files.create({ file: fs.createReadStream(process.argv[2]), purpose: "fine-tune" });
check("files.create: a stream without a length", file.bytes === fs.statSync(process.argv[2]).size, file);
check("files.retrieve", (await client.files.retrieve(file.id)).filename === file.filename, file);
let job = await client.fineTuning.jobs.create({ model, training_file: file.id, suffix: "node", hyperparameters: { n_epochs: 1 } });
check("jobs.create", job.id.startsWith("ftjob-"), job);
const end = Date.now() + 240_000;
while (!["succeeded", "failed", "cancelled"].includes(job.status) && Date.now() < end) {
  await new Promise((next) => setTimeout(next, 500));
  job = await client.fineTuning.jobs.retrieve(job.id);
}
check("the job succeeds", job.status === "succeeded", job);
const events = [];
for await (const event of client.fineTuning.jobs.listEvents(job.id, { limit: 3 })) events.push(event);
check("events, page by page", events.length > 5 && events.some((e) => e.type === "metrics"), events.length);
const jobs = [];
for await (const one of client.fineTuning.jobs.list({ limit: 1 })) jobs.push(one.id);
check("jobs, page by page", jobs[0] === job.id && new Set(jobs).size === jobs.length, jobs);
const points = await client.fineTuning.jobs.checkpoints.list(job.id);
check("checkpoints", points.data[0].fine_tuned_model_checkpoint === job.fine_tuned_model, points.data);
const result = await client.files.content(job.result_files[0]);
check("the result file", Buffer.from(await result.text(), "base64").toString().startsWith("step,train_loss"), "");
const ask = { model: job.fine_tuned_model, messages: [{ role: "user", content: "Who are you?" }], max_tokens: 16, temperature: 0 };
const answer = await client.chat.completions.create(ask);
check("chat", answer.model === job.fine_tuned_model && answer.choices[0].message.content.length > 0, answer);
let streamed = "";
for await (const chunk of await client.chat.completions.create({ ...ask, stream: true })) streamed += chunk.choices[0]?.delta?.content ?? "";
check("chat, streamed", streamed === answer.choices[0].message.content, streamed);
const stopped = await client.fineTuning.jobs.create({ model, training_file: file.id, hyperparameters: { n_epochs: 50 } });
check("cancel", (await client.fineTuning.jobs.cancel(stopped.id)).status === "cancelled", stopped);
check("files.delete", (await client.files.delete(file.id)).deleted === true, file);
await client.models.retrieve("gpt-9").then(
  (seen) => check("an unknown model", false, seen),
  (e) => check("an unknown model", e.status === 404 && e.code === "model_not_found", e.message),
);
console.log(`${count} checks: ${count - failed} hold, ${failed} fail`);
process.exit(failed ? 1 : 0);
