/* chat_templates.c: how families of models write a conversation down.

   Published models carry their template as a program in Jinja. A program of a file from outside is not run here; what the well-known
   ones do for plain conversations is said as data: what stands around a turn's text, where the system's text goes, what is trimmed.
   chat_known.c tells which text is which. tests/unit/test_chat.c compares each with what transformers renders. Sources: the models'
   own tokenizer_config.json. */
#include "decode/chat.h"

#define NAME(name, summary) .base = {name, summary, NULL, {0}}
#define CHATML                                                                                     \
    .before = {"<|im_start|>system\n", "<|im_start|>user\n", "<|im_start|>assistant\n"},           \
    .after = {"<|im_end|>\n", "<|im_end|>\n", "<|im_end|>\n"},                                     \
    .prompt = "<|im_start|>assistant\n", .ends = {"<|im_end|>"}
#define LLAMA3                                                                                     \
    .begin = CHAT_BOS, .after = {"<|eot_id|>", "<|eot_id|>", "<|eot_id|>"},                        \
    .trims = {true, true, true}, .prompt = "<|start_header_id|>assistant<|end_header_id|>\n\n",    \
    .ends = {"<|eot_id|>", "<|eom_id|>", "<|end_of_text|>"}
#define LLAMA3_HEADER(role) "<|start_header_id|>" role "<|end_header_id|>\n\n"

static const fr_chat_template chatml = {
    NAME("chatml", "turns between <|im_start|> and <|im_end|>: Yi, Hermes, Dolphin, many others"),
    CHATML,
};
static const fr_chat_template qwen15 = {
    NAME("qwen1.5", "chatml with Qwen1.5's system text"),
    CHATML,
    .default_system = "You are a helpful assistant",
};
static const fr_chat_template qwen2 = {
    NAME("qwen2", "chatml with Qwen2's system text"),
    CHATML,
    .default_system = "You are a helpful assistant.",
};
static const fr_chat_template qwen25 = {
    NAME("qwen2.5", "chatml with Qwen2.5's system text"),
    CHATML,
    .default_system = "You are Qwen, created by Alibaba Cloud. You are a helpful assistant.",
};
static const fr_chat_template qwen3 = {
    NAME("qwen3", "chatml; earlier answers without their thinking"),
    CHATML,
    .drops_thinking = true,
};
static const fr_chat_template smollm2 = {
    NAME("smollm2", "chatml with SmolLM2's system text"),
    CHATML,
    .default_system = "You are a helpful AI assistant named SmolLM, trained by Hugging Face",
};
static const fr_chat_template llama2 = {
    NAME("llama2", "[INST] and <<SYS>>: Llama 2"),
    .before = {"<<SYS>>\n", CHAT_BOS "[INST] ", " "},
    .after = {"\n<</SYS>>\n\n", " [/INST]", " " CHAT_EOS},
    .system = CHAT_SYSTEM_FIRST,
    .trims = {false, true, true},
};
static const fr_chat_template llama3 = {
    NAME("llama3", "headers and <|eot_id|>: Llama 3"),
    LLAMA3,
    .before = {LLAMA3_HEADER("system"), LLAMA3_HEADER("user"), LLAMA3_HEADER("assistant")},
};
static const fr_chat_template llama31 = {
    NAME("llama3.1", "llama3 with the dates that Llama 3.1 tells its models"),
    LLAMA3,
    .before = {LLAMA3_HEADER("system") "Cutting Knowledge Date: December 2023\n"
                                       "Today Date: 26 Jul 2024\n\n",
               LLAMA3_HEADER("user"), LLAMA3_HEADER("assistant")},
    .default_system = "",
};
static const fr_chat_template mistral01 = {
    NAME("mistral-v0.1", "[INST] with a space behind an answer: the first Mistral 7B"),
    .begin = CHAT_BOS,
    .before = {NULL, "[INST] ", ""},
    .after = {NULL, " [/INST]", CHAT_EOS " "},
    .system = CHAT_SYSTEM_NONE,
};
static const fr_chat_template mistral02 = {
    NAME("mistral-v0.2", "[INST]: Mistral 7B v0.2, Mixtral 8x7B"),
    .begin = CHAT_BOS,
    .before = {NULL, "[INST] ", ""},
    .after = {NULL, " [/INST]", CHAT_EOS},
    .system = CHAT_SYSTEM_NONE,
};
static const fr_chat_template mistral1 = {
    NAME("mistral-v1", "Mistral's v1: spaces around [INST], the system's text first"),
    .begin = CHAT_BOS,
    .before = {"", " [INST] ", " "},
    .after = {"\n\n", " [/INST]", CHAT_EOS},
    .system = CHAT_SYSTEM_FIRST,
};
static const fr_chat_template mistral3 = {
    NAME("mistral-v3", "Mistral's v3: [INST] as a token, the system's text in the last turn"),
    .begin = CHAT_BOS,
    .before = {"", "[INST] ", " "},
    .after = {"\n\n", "[/INST]", CHAT_EOS},
    .system = CHAT_SYSTEM_LAST,
    .trims = {false, false, true},
};
static const fr_chat_template mistral3_tekken = {
    NAME("mistral-v3-tekken", "Mistral's v3 without spaces: Nemo"),
    .begin = CHAT_BOS,
    .before = {"", "[INST]", ""},
    .after = {"\n\n", "[/INST]", CHAT_EOS},
    .system = CHAT_SYSTEM_LAST,
};
static const fr_chat_template gemma = {
    NAME("gemma", "<start_of_turn>: Gemma, Gemma 2"),
    .begin = CHAT_BOS,
    .before = {NULL, "<start_of_turn>user\n", "<start_of_turn>model\n"},
    .after = {NULL, "<end_of_turn>\n", "<end_of_turn>\n"},
    .system = CHAT_SYSTEM_NONE,
    .trims = {false, true, true},
    .prompt = "<start_of_turn>model\n",
    .ends = {"<end_of_turn>"},
};
static const fr_chat_template phi3 = {
    NAME("phi3", "<|user|> and <|end|>: Phi-3, Phi-3.5"),
    .before = {"<|system|>\n", "<|user|>\n", "<|assistant|>\n"},
    .after = {"<|end|>\n", "<|end|>\n", "<|end|>\n"},
    .prompt = "<|assistant|>\n",
    .ends = {"<|end|>"},
};
static const fr_chat_template zephyr = {
    NAME("zephyr", "<|user|> and the end-of-text token: Zephyr, TinyLlama"),
    .before = {"<|system|>\n", "<|user|>\n", "<|assistant|>\n"},
    .after = {CHAT_EOS "\n", CHAT_EOS "\n", CHAT_EOS "\n"},
    .prompt = "<|assistant|>\n",
};

const fr_chat_template *const chat_templates[] = {
    &chatml,   &qwen15,          &qwen2,   &qwen25,    &qwen3,     &smollm2,
    &llama2,   &llama3,          &llama31, &mistral01, &mistral02, &mistral1,
    &mistral3, &mistral3_tekken, &gemma,   &phi3,      &zephyr,    NULL,
};
static const fr_kind *const kinds[] = {&chatml.base,    &qwen15.base,          &qwen2.base,
                                       &qwen25.base,    &qwen3.base,           &smollm2.base,
                                       &llama2.base,    &llama3.base,          &llama31.base,
                                       &mistral01.base, &mistral02.base,       &mistral1.base,
                                       &mistral3.base,  &mistral3_tekken.base, &gemma.base,
                                       &phi3.base,      &zephyr.base,          NULL};
const fr_registry fr_chat_templates = {"chat_template", "how a conversation is written down",
                                       kinds};
