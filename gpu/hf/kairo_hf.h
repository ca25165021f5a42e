/* gpu/hf/kairo_hf.h - the C ABI of the Rust crate: tokenizers, chat templates, data files.
 * Every function returns 0, or -1 with *error set (and nothing else written). Texts are UTF-8 by
 * pointer and length, paths are bytes. What comes back is freed with the function named like it;
 * freeing a zeroed struct is nothing. No panic crosses this line. Any thread may call. */
#pragma once
#include <stddef.h>
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif
typedef struct {
  char* data;
  size_t size;
} kh_bytes;
typedef struct {
  uint32_t* data;
  size_t size;
} kh_ids;
typedef struct {
  uint64_t begin, end; /* bytes */
} kh_range;
typedef struct {
  kh_range* data;
  size_t size;
} kh_ranges;
void kh_bytes_free(kh_bytes);
void kh_ids_free(kh_ids);
void kh_ranges_free(kh_ranges);

typedef struct kh_tokenizer kh_tokenizer; /* immutable after load */
int kh_tokenizer_load(const char* path, size_t path_size, kh_tokenizer** out, kh_bytes* error);
void kh_tokenizer_free(kh_tokenizer*);
/* ranges: null when not wanted (faster). */
int kh_tokenizer_encode(const kh_tokenizer*, const char* text, size_t size, int add_special,
                        kh_ids* ids, kh_ranges* ranges, kh_bytes* error);
int kh_tokenizer_decode(const kh_tokenizer*, const uint32_t* ids, size_t count, int skip_special,
                        kh_bytes* text, kh_bytes* error);
int64_t kh_tokenizer_id(const kh_tokenizer*, const char* token, size_t size); /* -1: none */

typedef struct kh_chat kh_chat; /* a compiled chat template, immutable */
/* An error only where the source is no UTF-8: what else is wrong in it is said by each render. */
int kh_chat_compile(const char* source, size_t size, kh_chat** out, kh_bytes* error);
void kh_chat_free(kh_chat*);
typedef struct {
  const char* data;
  size_t size;
} kh_text;
typedef struct kh_turns kh_turns; /* a chat that was read; immutable, one thread at a time */
/* messages, tools: JSON arrays; variables: JSON objects of what else the template sees (bos_token,
 * enable_thinking), of which the last wins. Only messages may not be empty texts. */
int kh_turns_read(kh_text messages, kh_text tools, kh_text variables, kh_text more_variables,
                  kh_turns** out, kh_bytes* error);
void kh_turns_free(kh_turns*);
/* The first so many messages, or all if there are fewer. now_s: the time that the template sees, in
 * Unix seconds (UTC); negative: the local time now. generated: what the template's generation
 * blocks made. marked: 1 when the template has such blocks. */
int kh_chat_render(const kh_chat*, const kh_turns*, size_t messages, int add_generation_prompt,
                   int64_t now_s, kh_bytes* text, kh_ranges* generated, int* marked,
                   kh_bytes* error);

typedef struct kh_vocabulary kh_vocabulary; /* a model's tokens as bytes; immutable */
/* path: tokenizer.json, byte-level or with byte fallback. tokens: of the logits. stops: what
 * ends an answer, at least one. */
int kh_vocabulary_load(const char* path, size_t path_size, size_t tokens, const uint32_t* stops,
                       size_t stop_count, kh_vocabulary** out, kh_bytes* error);
void kh_vocabulary_free(kh_vocabulary*);
/* Of a special token its name. */
int kh_vocabulary_bytes(const kh_vocabulary*, uint32_t token, kh_bytes* out, kh_bytes* error);
typedef struct kh_grammar kh_grammar; /* how far one answer has come; one thread at a time */
/* schema: a JSON schema; an error names a keyword that is not known. The vocabulary must outlive
 * it. */
int kh_grammar_of_schema(const kh_vocabulary*, const char* schema, size_t size, kh_grammar** out,
                         kh_bytes* error);
void kh_grammar_free(kh_grammar*);
/* Bit t % 32 of word t / 32: whether token t may come next; at the end only stops may. */
int kh_grammar_mask(kh_grammar*, uint32_t* words, size_t count, kh_bytes* error);
int kh_grammar_take(kh_grammar*, uint32_t token, kh_bytes* error); /* an error: it may not */

/* Returns 0 to go on, else reading ends and kh_rows returns 0. */
typedef int (*kh_on_row)(void* user, size_t number, const char* json, size_t size);
/* format: 0 jsonl, 1 json, 2 csv, 3 parquet. packing: 0 none, 1 gzip, 2 zstd. bytes_max: of the
 * file when it is unpacked. -2: the file is cut off or damaged. */
int kh_rows(const char* path, size_t path_size, int format, int packing, uint64_t bytes_max,
            size_t row_bytes_max, size_t rows_max, kh_on_row on_row, void* user, size_t* rows,
            kh_bytes* error);
#ifdef __cplusplus
}
#endif
