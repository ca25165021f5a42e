#!/usr/bin/env python3
# tests/openai/conformance.py - what OpenAI's own SDK, and what it sends, must get of a gateway; prints how many hold.
"""usage: OPENAI_BASE_URL=... OPENAI_API_KEY=... conformance.py ROWS.jsonl   (exit 0: all hold)"""
import base64
import hashlib
import io
import json
import os
import sys
import time
import urllib.request

import openai
from openai import OpenAI

MODEL = os.environ.get("MODEL", "smollm2-135m-instruct")
ROWS = open(sys.argv[1], "rb").read()
client = OpenAI(max_retries=0, timeout=300)
passed, failed = [], []


def check(name, holds, seen=""):
    (passed if holds else failed).append(name)
    print(("ok    " if holds else "FAIL  ") + name + ("" if holds else f"   seen: {seen}"), flush=True)


def same(name, wanted, seen):
    check(name, wanted == seen, repr(seen) + ", wanted " + repr(wanted))


def refused(name, call, status, param=None, code=None, words=""):
    try:
        answer = call()
        check(name, False, answer)
    except openai.APIStatusError as e:
        body = e.body if isinstance(e.body, dict) else {}
        good = e.status_code == status and (param is None or body.get("param") == param) and \
            (code is None or body.get("code") == code) and words in str(body.get("message"))
        check(name, good and set(body) == {"message", "type", "param", "code"}, f"{e.status_code} {body}")


def raw(method, path, body=None, headers=None):
    request = urllib.request.Request(str(client.base_url) + path, data=body, method=method,
                                     headers={"Authorization": "Bearer " + client.api_key, **(headers or {})})
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, dict(answer.headers), answer.read()
    except urllib.error.HTTPError as e:
        return e.code, dict(e.headers), e.read()


def until(call, done, seconds=240):
    end = time.time() + seconds
    while True:
        value = call()
        if done(value) or time.time() > end:
            return value
        time.sleep(0.5)


def upload(rows, purpose="fine-tune", name="rows.jsonl"):
    return client.files.create(file=(name, rows), purpose=purpose)


def files():
    made = client.files.create(file=("rows.jsonl", ROWS), purpose="fine-tune")
    check("files.create: id", made.id.startswith("file-"), made.id)
    same("files.create: object", "file", made.object)
    same("files.create: bytes", len(ROWS), made.bytes)
    same("files.create: filename", "rows.jsonl", made.filename)
    same("files.create: purpose", "fine-tune", made.purpose)
    same("files.create: status", "processed", made.status)
    check("files.create: created_at", abs(made.created_at - time.time()) < 60, made.created_at)
    check("files.create: expires_at is null", made.expires_at is None, made.expires_at)
    check("files: x-request-id", bool(made._request_id), made._request_id)
    same("files.create: bytes without a name", "upload", client.files.create(file=ROWS, purpose="fine-tune").filename)
    same("files.create: BytesIO", len(ROWS), client.files.create(file=io.BytesIO(ROWS), purpose="user_data").bytes)
    expiring = client.files.create(file=ROWS, purpose="user_data", expires_after={"anchor": "created_at", "seconds": 3600})
    same("files.create: expires_after", 3600, expiring.expires_at - expiring.created_at)
    refused("files.create: expires_after too short", lambda: client.files.create(
        file=ROWS, purpose="user_data", expires_after={"anchor": "created_at", "seconds": 60}), 400, "expires_after")
    refused("files.create: unknown purpose", lambda: client.files.create(file=ROWS, purpose="x"), 400, "purpose")
    refused("files.create: empty file", lambda: client.files.create(file=("a", b""), purpose="fine-tune"), 400, "file")
    same("files.retrieve", made.id, client.files.retrieve(made.id).id)
    same("files.wait_for_processing", "processed", client.files.wait_for_processing(made.id).status)
    same("files.content", ROWS, client.files.content(made.id).read())
    ids = [f.id for f in client.files.list()]
    check("files.list: newest first", ids.index(expiring.id) < ids.index(made.id), ids)
    walked = [f.id for f in client.files.list(limit=2)]
    same("files.list: pages of two", ids, walked)
    same("files.list: by purpose", {"user_data"}, {f.purpose for f in client.files.list(purpose="user_data")})
    same("files.list: ascending", ids[::-1], [f.id for f in client.files.list(order="asc")])
    refused("files.list: unknown after", lambda: client.files.list(after="file-no"), 400, "after")
    refused("files.list: limit 0", lambda: client.files.list(limit=0), 400, "limit")
    deleted = client.files.delete(expiring.id)
    same("files.delete", (expiring.id, True), (deleted.id, deleted.deleted))
    refused("files.retrieve: deleted", lambda: client.files.retrieve(expiring.id), 404, "id")
    refused("files.delete: twice", lambda: client.files.delete(expiring.id), 404)
    status, _, body = raw("POST", "files", b"{}", {"Content-Type": "application/json"})
    same("files.create: no form", 400, status)
    form = (b"--B\r\ncontent-disposition: form-data; name=\"file\"; filename=\"n.jsonl\"\r\n\r\n" + ROWS +
            b"\r\n--B\r\ncontent-disposition: form-data; name=\"purpose\"\r\n\r\nfine-tune\r\n--B--\r\n")
    status, _, body = raw("POST", "files", form, {"Content-Type": "multipart/form-data; boundary=B"})
    same("files.create: the file before the purpose (node)", (200, len(ROWS)), (status, json.loads(body).get("bytes")))
    pieces = [form[i:i + 1000] for i in range(0, len(form), 1000)]
    status, _, body = raw("POST", "files", iter(pieces), {"Content-Type": "multipart/form-data; boundary=B",
                                                          "Transfer-Encoding": "chunked"})
    same("files.create: chunked (node)", (200, len(ROWS)), (status, json.loads(body).get("bytes")))
    return made


def uploads():
    half = len(ROWS) // 2
    up = client.uploads.create(bytes=len(ROWS), filename="u.jsonl", mime_type="application/jsonl", purpose="fine-tune")
    same("uploads.create: status", "pending", up.status)
    check("uploads.create: id", up.id.startswith("upload_"), up.id)
    parts = [client.uploads.parts.create(up.id, data=piece) for piece in (ROWS[:half], ROWS[half:])]
    check("uploads.parts: id", parts[0].id.startswith("part_") and parts[0].upload_id == up.id, parts[0])
    refused("uploads.complete: too few", lambda: client.uploads.complete(up.id, part_ids=[parts[0].id]), 400)
    refused("uploads.complete: wrong md5", lambda: client.uploads.complete(
        up.id, part_ids=[p.id for p in parts], md5="0" * 32), 400, words="md5")
    done = client.uploads.complete(up.id, part_ids=[p.id for p in parts], md5=hashlib.md5(ROWS).hexdigest())
    same("uploads.complete: status", "completed", done.status)
    same("uploads.complete: file", ROWS, client.files.content(done.file.id).read())
    whole = client.uploads.upload_file_chunked(file=ROWS, filename="c.jsonl", bytes=len(ROWS),
                                               mime_type="application/jsonl", purpose="fine-tune", part_size=1000)
    same("uploads: in chunks by the helper", len(ROWS), whole.file.bytes)
    other = client.uploads.create(bytes=5, filename="u", mime_type="x/y", purpose="user_data")
    same("uploads.cancel", "cancelled", client.uploads.cancel(other.id).status)
    refused("uploads.parts: of a cancelled one", lambda: client.uploads.parts.create(other.id, data=b"x"), 400)
    refused("uploads: unknown", lambda: client.uploads.cancel("upload_no"), 404)


def bad_jobs(good):
    create = client.fine_tuning.jobs.create
    refused("jobs.create: no file", lambda: create(model=MODEL, training_file="file-no"), 400, "training_file")
    refused("jobs.create: no model", lambda: create(model="gpt-4o-mini", training_file=good.id), 400, "model")
    refused("jobs.create: dpo", lambda: create(model=MODEL, training_file=good.id, method={"type": "dpo"}), 400, "method", words="dpo")
    refused("jobs.create: reinforcement", lambda: create(model=MODEL, training_file=good.id, method={
        "type": "reinforcement", "reinforcement": {"grader": {}}}), 400, "method", words="reinforcement")
    refused("jobs.create: 51 epochs", lambda: create(model=MODEL, training_file=good.id, hyperparameters={"n_epochs": 51}), 400)
    refused("jobs.create: suffix of 65", lambda: create(model=MODEL, training_file=good.id, suffix="x" * 65), 400, "suffix")
    refused("jobs.create: validates by what it trains on", lambda: create(
        model=MODEL, training_file=good.id, validation_file=good.id), 400, "validation_file")
    refused("jobs.create: no validation file", lambda: create(
        model=MODEL, training_file=good.id, validation_file="file-no"), 400, "validation_file")
    refused("jobs.create: another purpose", lambda: create(
        model=MODEL, training_file=upload(ROWS, "user_data").id), 400, "training_file")
    chat = json.loads(ROWS.splitlines()[0])
    noroles = {"messages": [{"content": "x"}] + chat["messages"]}
    dpo = {"input": {"messages": [{"role": "user", "content": "q"}]},
           "preferred_output": [{"role": "assistant", "content": "a"}],
           "non_preferred_output": [{"role": "assistant", "content": "b"}]}
    cases = {
        "9 rows": ("invalid_n_examples", "9 examples", ROWS.splitlines()[:9]),
        "a row that is no JSON": ("invalid_training_file", "example 3", ROWS.splitlines()[:2] + [b"{"] + ROWS.splitlines()[:9]),
        "a role is missing": ("invalid_training_file", "example 2: message 1: role", [json.dumps(r).encode() for r in [chat, noroles] + [chat] * 9]),
        "preference rows": ("invalid_training_file", "preference", [json.dumps(dpo).encode()] * 10),
    }
    for name, (code, words, rows) in cases.items():
        job = create(model=MODEL, training_file=upload(b"\n".join(rows)).id)
        same(f"{name}: jobs.create answers", "validating_files", job.status)
        job = until(lambda j=job: client.fine_tuning.jobs.retrieve(j.id), lambda j: j.status == "failed", 30)
        same(f"{name}: job.error", ("failed", code, "training_file"), (job.status, job.error.code, job.error.param))
        check(f"{name}: its message", words in job.error.message, job.error.message)
    events = client.fine_tuning.jobs.list_events(job.id).data
    check("a failed job: its last event", events[0].level == "error", events[0])
    refused("jobs.cancel: of a failed one", lambda: client.fine_tuning.jobs.cancel(job.id), 400)


def a_job(good):
    jobs = client.fine_tuning.jobs
    held_out = upload(b"\n".join(ROWS.splitlines()[:8]))
    job = jobs.create(model=MODEL, training_file=good.id, validation_file=held_out.id, suffix="conf", seed=11, metadata={"who": "conformance"},
                      method={"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": 1}}})
    check("jobs.create: id", job.id.startswith("ftjob-"), job.id)
    same("jobs.create: object", "fine_tuning.job", job.object)
    check("jobs.create: status", job.status in ("validating_files", "queued", "running"), job.status)
    same("jobs.create: error is an object of nulls", (None, None), (job.error.code, job.error.message))
    same("jobs.create: seed, suffix, metadata", (11, "conf", {"who": "conformance"}),
         (job.seed, job.user_provided_suffix, job.metadata))
    same("jobs.create: lists", ([], []), (job.result_files, job.integrations))
    same("jobs.create: no model yet", None, job.fine_tuned_model)
    same("jobs.create: auto", "auto", job.method.supervised.hyperparameters.batch_size)
    same("jobs.list: newest first", job.id, jobs.list().data[0].id)
    same("jobs.list: by metadata", [job.id], [j.id for j in jobs.list(metadata={"who": "conformance"})])
    same("jobs.list: pages of one", len(list(jobs.list())), len(list(jobs.list(limit=1))))
    refused("jobs.list: unknown after", lambda: jobs.list(after="ftjob-no"), 400, "after")
    refused("jobs.retrieve: unknown", lambda: jobs.retrieve("ftjob-no"), 404, "fine_tune_id", "fine_tune_not_found")
    job = until(lambda: jobs.retrieve(job.id), lambda j: j.status in ("succeeded", "failed", "cancelled"))
    same("a job: succeeds", "succeeded", job.status)
    check("a job: fine_tuned_model", (job.fine_tuned_model or "").startswith(f"ft:{MODEL}:kairo:conf:"), job.fine_tuned_model)
    check("a job: finished_at", (job.finished_at or 0) >= job.created_at, job.finished_at)
    check("a job: trained_tokens", (job.trained_tokens or 0) > 0, job.trained_tokens)
    check("a job: auto has become numbers", isinstance(job.hyperparameters.batch_size, int), job.hyperparameters)
    events = jobs.list_events(job.id, limit=100).data
    check("events: newest first", events[0].created_at >= events[-1].created_at and "created" in events[-1].message, events)
    metrics = [e for e in events if e.type == "metrics"]
    check("events: losses", metrics and metrics[0].data["train_loss"] > 0 and metrics[0].data["total_steps"] > 0, metrics)
    same("a job: its validation file", held_out.id, job.validation_file)
    check("events: the last step's validation loss", metrics[0].data.get("full_valid_loss", 0) > 0, metrics[0])
    same("events: pages", [e.id for e in events], [e.id for e in jobs.list_events(job.id, limit=3)])
    points = jobs.checkpoints.list(job.id).data
    same("checkpoints: the last is the model", job.fine_tuned_model, points[0].fine_tuned_model_checkpoint)
    check("checkpoints: its validation loss", (points[0].metrics.full_valid_loss or 0) > 0, points[0].metrics)
    same("checkpoints: of this job", job.id, points[0].fine_tuning_job_id)
    csv = base64.b64decode(client.files.content(job.result_files[0]).read()).decode()
    check("result: header", csv.startswith("step,train_loss,train_accuracy,valid_loss,valid_mean_token_accuracy\n"), csv[:80])
    check("result: the last line's validation loss", csv.splitlines()[-1].split(",")[3] not in ("", "0"), csv[-80:])
    check("result: a line a step", len(csv.splitlines()) > 1, csv)
    same("result: purpose", "fine-tune-results", client.files.retrieve(job.result_files[0]).purpose)
    return job


def stopping(good):
    jobs = client.fine_tuning.jobs
    job = jobs.create(model=MODEL, training_file=good.id, hyperparameters={"n_epochs": 50})
    same("jobs.pause", "paused", jobs.pause(job.id).status)
    same("jobs.retrieve: paused", "paused", jobs.retrieve(job.id).status)
    same("jobs.resume", "queued", jobs.resume(job.id).status)
    job = jobs.cancel(job.id)
    same("jobs.cancel", "cancelled", job.status)
    same("jobs.retrieve: cancelled", "cancelled", jobs.retrieve(job.id).status)
    refused("jobs.pause: of a cancelled one", lambda: jobs.pause(job.id), 400, words="cannot be paused")
    same("jobs.cancel: twice", "cancelled", jobs.cancel(job.id).status)
    same("events of a cancelled job", "The job is cancelled", jobs.list_events(job.id).data[0].message)
    refused("checkpoint permissions", lambda: client.fine_tuning.checkpoints.permissions.retrieve("ft:x"), 403)


def chat(job):
    models = [m.id for m in client.models.list()]
    check("models.list", job.fine_tuned_model in models and MODEL in models, models[:5])
    same("models.retrieve", job.fine_tuned_model, client.models.retrieve(job.fine_tuned_model).id)
    refused("models.retrieve: unknown", lambda: client.models.retrieve("gpt-9"), 404, "model", "model_not_found")
    ask = dict(messages=[{"role": "user", "content": "What is the capital of France?"}], max_tokens=16, temperature=0)
    answer = client.with_options(max_retries=5).chat.completions.create(model=job.fine_tuned_model, **ask)
    same("chat: the model as asked", job.fine_tuned_model, answer.model)
    check("chat: an answer", bool(answer.choices[0].message.content), answer)
    last = f"{job.fine_tuned_model}:ckpt-step-{client.fine_tuning.jobs.checkpoints.list(job.id).data[0].step_number}"
    same("chat: the last checkpoint's name", answer.choices[0].message.content,
         client.chat.completions.create(model=last, **ask).choices[0].message.content)
    chunks = list(client.chat.completions.create(model=job.fine_tuned_model, stream=True, **ask))
    same("chat: streamed, the same words", answer.choices[0].message.content,
         "".join(c.choices[0].delta.content or "" for c in chunks))
    same("chat: streamed, the model as asked", {job.fine_tuned_model}, {c.model for c in chunks})
    same("chat: the base model", MODEL, client.chat.completions.create(model=MODEL, **ask).model)
    refused("chat: unknown model", lambda: client.chat.completions.create(model="gpt-9", **ask), 404, "model", "model_not_found")
    refused("chat: no messages", lambda: client.chat.completions.create(model=MODEL, messages=[]), 400)
    deleted = client.models.delete(job.fine_tuned_model)
    same("models.delete", True, deleted.deleted)
    seen = until(lambda: job.fine_tuned_model in [m.id for m in client.models.list()], lambda there: not there, 20)
    same("models.delete: it is gone", False, seen)


def main():
    good = files()
    uploads()
    bad_jobs(good)
    stopping(good)
    job = a_job(good)
    chat(job)
    status, headers, body = raw("GET", "nothing")
    same("an unknown path is an error of OpenAI's form", (404, {"message", "type", "param", "code"}),
         (status, set(json.loads(body)["error"])))
    print(f"{len(passed) + len(failed)} checks: {len(passed)} hold, {len(failed)} fail")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
