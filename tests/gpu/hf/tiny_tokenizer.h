// tests/gpu/hf/tiny_tokenizer.h - a byte-level tokenizer without merges: one token a byte, two
// special tokens. Made here so that the tests need no model.
#pragma once
#include <string>

namespace kairo::gpu::test {
// Renders every message as <|im_start|>role\ncontent<|im_end|>\n.
inline const std::string chatml =
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\\n' + m['content'] + '<|im_end|>' + "
    "'\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";
// tokenizer.json and tokenizer_config.json. Printable ASCII byte c is token c - '!'; <|im_start|>
// is 256, <|im_end|> (the end token) 257. An empty chat_template: none.
void write_tiny_tokenizer(const std::string& folder, const std::string& chat_template);
}  // namespace kairo::gpu::test
