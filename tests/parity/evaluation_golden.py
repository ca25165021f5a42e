# tests/parity/evaluation_golden.py - what transformers' Trainer says of held-out rows while it trains the tiny
# model, and which step it loads at the end. Called by make_golden.py.
import tempfile

import torch
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, Trainer, TrainerCallback, TrainingArguments

STEPS, BATCH, EVERY = 24, 3, 2
LEARNING_RATE = 4e-2


def random_rows(vocab, seed, shapes):
    generator = torch.Generator().manual_seed(seed)
    return [(torch.randint(0, vocab, (length,), generator=generator).tolist(),
             [0] * prompt + [1] * (length - prompt)) for length, prompt in shapes]


def collate(rows):
    width = max(len(t) for t, _ in rows)
    batch = {"input_ids": torch.zeros((len(rows), width), dtype=torch.long)}
    batch["attention_mask"] = torch.zeros_like(batch["input_ids"])
    batch["labels"] = torch.full_like(batch["input_ids"], -100)
    for i, (tokens, trained) in enumerate(rows):
        at = torch.tensor(tokens)
        batch["input_ids"][i, :len(tokens)] = at
        batch["attention_mask"][i, :len(tokens)] = 1
        batch["labels"][i, :len(tokens)] = torch.where(torch.tensor(trained).bool(), at, -100)
    return batch


class InOrder(Trainer):
    def _get_train_sampler(self, *_):
        return torch.utils.data.SequentialSampler(self.train_dataset)


class Losses(TrainerCallback):
    def __init__(self):
        self.seen = []

    def on_evaluate(self, args, state, control, metrics=None, **_):
        self.seen.append(metrics["eval_loss"])


def write(out, folder, rows, with_adapter, flat_rows):
    """rows: to train on, three a step, over and over. The held-out ones share their beginnings with them."""
    held_out = [(tokens[:len(tokens) // 2] + more, trained[:len(tokens) // 2] + mask)
                for (tokens, trained), (more, mask) in zip(
                    (r for r in rows if len(r[0]) > 10),
                    random_rows(160, 5, ((9, 0), (30, 0), (14, 3), (8, 0), (11, 2))))]
    model = with_adapter(AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32), 4, 8, 3,
                         ["q_proj", "v_proj", "down_proj"])
    order = [rows[i % len(rows)] for i in range(STEPS * BATCH)]
    losses = Losses()
    with tempfile.TemporaryDirectory() as work:
        trainer = InOrder(
            model=model, train_dataset=order, eval_dataset=held_out, data_collator=collate, callbacks=[losses],
            args=TrainingArguments(
                output_dir=work, per_device_train_batch_size=BATCH, num_train_epochs=1, learning_rate=LEARNING_RATE,
                lr_scheduler_type="constant", max_grad_norm=1.0, weight_decay=0.0, optim="adamw_torch",
                # One batch, so that its mean over targets is the mean over all targets.
                per_device_eval_batch_size=len(held_out), eval_strategy="steps", eval_steps=EVERY,
                save_strategy="steps", save_steps=EVERY, load_best_model_at_end=True, eval_on_start=True,
                remove_unused_columns=False, report_to=[], disable_tqdm=True, use_cpu=True, seed=0))
        trainer.train()
        best = trainer.state.best_global_step
    tensors = {**flat_rows(rows), "eval_losses": torch.tensor(losses.seen, dtype=torch.float64).float(),
               "best_step": torch.tensor([float(best)])}
    tensors.update({"held_out." + key.removeprefix("rows."): value for key, value in flat_rows(held_out).items()})
    for name, p in model.named_parameters():
        if p.requires_grad:
            tensors["trained." + name.replace(".default", "")] = p.detach().clone().contiguous()
    save_file(tensors, f"{out}/tiny_evaluation.safetensors")
