"""LoRA steps of PyTorch and peft on the shapes of `fedtrain bench train`; one JSON object per line.

Each work runs in a process of its own (`--work NAME`), so that its peak memory is its own.
"""

import argparse
import json
import os
import resource
import statistics
import time

SHAPES = {
    "135M": dict(
        hidden_size=576,
        intermediate_size=1536,
        num_hidden_layers=30,
        num_attention_heads=9,
        num_key_value_heads=3,
        vocab_size=49152,
        max_position_embeddings=2048,
    ),
    "1M": dict(
        hidden_size=128,
        intermediate_size=352,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        vocab_size=2048,
        max_position_embeddings=512,
    ),
}

# Name: shape, records in a step, tokens in a record, steps that make up one measurement.
WORK = {
    "135M 4x256": ("135M", 4, 256, 1),
    "1M 64 clients one by one": ("1M", 1, 64, 64),
}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--work", choices=WORK, required=True)
    parser.add_argument("--repetitions", type=int, default=5)
    arguments = parser.parse_args()

    import peft
    import torch
    import transformers

    threads = os.cpu_count() or 1
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    shape, records, tokens, steps = WORK[arguments.work]
    configuration = transformers.LlamaConfig(tie_word_embeddings=True, **SHAPES[shape])
    model = transformers.LlamaForCausalLM(configuration)
    model = peft.get_peft_model(
        model,
        peft.LoraConfig(r=8, lora_alpha=16, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM"),
    )
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-4)
    # One token more than is predicted from, as on our side.
    ids = torch.randint(0, configuration.vocab_size, (records, tokens + 1))

    def measure():
        # Processor time beside wall time: the first says what the work costs on a machine that is shared.
        wall, processor = time.perf_counter(), time.process_time()
        for _ in range(steps):
            optimizer.zero_grad()
            model(input_ids=ids, labels=ids).loss.backward()
            optimizer.step()
        return time.perf_counter() - wall, time.process_time() - processor

    measure()
    times = [measure() for _ in range(arguments.repetitions)]
    wall = statistics.median(t[0] for t in times)
    processor = statistics.median(t[1] for t in times)
    count = records * tokens * steps
    print(
        json.dumps(
            {
                "work": arguments.work,
                "tokensPerSecond": count / wall,
                "tokensPerProcessorSecond": count / processor,
                "peakMiB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
                "threads": threads,
                "torch": torch.__version__,
                "peft": peft.__version__,
                "transformers": transformers.__version__,
            }
        )
    )


if __name__ == "__main__":
    main()
