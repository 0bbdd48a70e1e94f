"""What `transformers` makes of chats, for templates in the formats of the common families.

    python make.py OUT_DIR

Writes chat.json. The templates here were written for this purpose: each writes what the family's models were
trained on (the tags, the place of the system text, what is trimmed) with the constructs that the published
templates use, so no publisher's text is in this repository. `language` holds small templates, one construct each.
Every text is what PreTrainedTokenizerFast.apply_chat_template gives; null where it raises. Token ids are of the
tokenizers in ../tokenizers, as tokenize=True gives them.
"""
import json
import pathlib
import sys

import jinja2
import tokenizers
import transformers

HERE = pathlib.Path(__file__).parent

FAMILIES = {
    "chatml": """{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + \
'<|im_end|>' + '\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}""",
    "chatml-default-system": """{% for message in messages -%}
    {% if loop.first and messages[0]['role'] != 'system' -%}
        {{ '<|im_start|>system\nYou help.<|im_end|>\n' }}
    {%- endif %}
    {{- '<|im_start|>' ~ message.role ~ '\n' ~ message.content ~ '<|im_end|>\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\n' }}
{%- endif %}
""",
    "qwen2.5": """{%- if tools %}
    {{- '<|im_start|>system\n' }}
    {%- for tool in tools %}
        {{- tool | tojson }}
    {%- endfor %}
{%- else %}
    {%- if messages[0]['role'] == 'system' %}
        {{- '<|im_start|>system\n' + messages[0]['content'] + '<|im_end|>\n' }}
    {%- else %}
        {{- '<|im_start|>system\nYou are an assistant.<|im_end|>\n' }}
    {%- endif %}
{%- endif %}
{%- for message in messages %}
    {%- if (message.role == "user") or (message.role == "system" and not loop.first) or (message.role == \
"assistant" and not message.tool_calls) %}
        {{- '<|im_start|>' + message.role + '\n' + message.content + '<|im_end|>' + '\n' }}
    {%- elif message.role == "assistant" %}
        {{- '<|im_start|>' + message.role }}
        {%- for tool_call in message.tool_calls %}
            {%- if tool_call.function is defined %}
                {%- set tool_call = tool_call.function %}
            {%- endif %}
            {{- '\n' + tool_call.name + tool_call.arguments | tojson }}
        {%- endfor %}
    {%- elif message.role == "tool" %}
        {%- if (loop.index0 == 0) or (messages[loop.index0 - 1].role != "tool") %}
            {{- '<|im_start|>user' }}
        {%- endif %}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\n' }}
{%- endif %}
""",
    "qwen3-like": """{%- set ns = namespace(last=messages|length - 1, searching=true) %}
{%- for message in messages[::-1] %}
    {%- set index = (messages|length - 1) - loop.index0 %}
    {%- if ns.searching and message.role == 'user' and message.content is string and not \
(message.content.startswith('<t>') and message.content.endswith('</t>')) %}
        {%- set ns.searching = false %}
        {%- set ns.last = index %}
    {%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- set content = message.content %}
    {%- if message.role == 'assistant' %}
        {%- set reasoning = '' %}
        {%- if '</think>' in content %}
            {%- set reasoning = content.split('</think>')[0].rstrip('\\n').split('<think>')[-1].lstrip('\\n') %}
            {%- set content = content.split('</think>')[-1].lstrip('\\n') %}
        {%- endif %}
        {%- if loop.index0 > ns.last and (loop.last or (not loop.last and reasoning)) %}
            {{- '<|im_start|>assistant\n<think>\n' + reasoning.strip('\\n') + '\n</think>\n\n' + content }}
        {%- else %}
            {{- '<|im_start|>assistant\n' + content }}
        {%- endif %}
        {{- '<|im_end|>\n' }}
    {%- else %}
        {{- '<|im_start|>' + message.role + '\n' + content + '<|im_end|>\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}
        {{- '<think>\n\n</think>\n\n' }}
    {%- endif %}
{%- endif %}""",
    "llama-2": """{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}\
{% set system_message = messages[0]['content'] %}{% else %}{% set loop_messages = messages %}\
{% set system_message = false %}{% endif %}{% for message in loop_messages %}\
{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}\
{{ raise_exception('user and assistant take turns') }}{% endif %}\
{% if loop.index0 == 0 and system_message != false %}\
{% set content = '<<SYS>>\\n' + system_message + '\\n<</SYS>>\\n\\n' + message['content'] %}\
{% else %}{% set content = message['content'] %}{% endif %}\
{% if message['role'] == 'user' %}{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}\
{% elif message['role'] == 'assistant' %}{{ ' '  + content.strip() + ' ' + eos_token }}{% endif %}{% endfor %}""",
    "mistral": """{{ bos_token }}{% for message in messages %}{% if (message['role'] == 'user') != \
(loop.index0 % 2 == 0) %}{{ raise_exception('roles must take turns') }}{% endif %}{% if message['role'] == 'user' %}\
{{ '[INST] ' + message['content'] + ' [/INST]' }}{% elif message['role'] == 'assistant' %}\
{{ message['content'] + eos_token}}{% else %}{{ raise_exception('only user and assistant') }}{% endif %}{% endfor %}""",
    "mistral-system-last": """{%- if messages[0]["role"] == "system" %}
    {%- set system_message = messages[0]["content"] %}
    {%- set loop_messages = messages[1:] %}
{%- else %}
    {%- set loop_messages = messages %}
{%- endif %}
{%- set ns = namespace() %}
{%- set ns.index = 0 %}
{%- for message in loop_messages %}
    {%- if not (message.role == "tool" or message.role == "tool_results" or (message.tool_calls is defined and \
message.tool_calls is not none)) %}
        {%- if (message["role"] == "user") != (ns.index % 2 == 0) %}
            {{- raise_exception("roles must take turns") }}
        {%- endif %}
        {%- set ns.index = ns.index + 1 %}
    {%- endif %}
{%- endfor %}
{{- bos_token }}
{%- for message in loop_messages %}
    {%- if message["role"] == "user" %}
        {%- if loop.last and system_message is defined %}
            {{- "[INST] " + system_message + "\n\n" + message["content"] + "[/INST]" }}
        {%- else %}
            {{- "[INST] " + message["content"] + "[/INST]" }}
        {%- endif %}
    {%- elif message["role"] == "assistant" %}
        {{- " " + message["content"]|trim + eos_token}}
    {%- else %}
        {{- raise_exception("not a known role") }}
    {%- endif %}
{%- endfor %}
""",
    "llama-3": """{% set loop_messages = messages %}{% for message in loop_messages %}{% set content = \
'<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n'+ message['content'] | trim + '<|eot_id|>' %}\
{% if loop.index0 == 0 %}{% set content = bos_token + content %}{% endif %}{{ content }}{% endfor %}\
{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}""",
    "llama-3.1": """{{- bos_token }}
{%- if custom_tools is defined %}
    {%- set tools = custom_tools %}
{%- endif %}
{%- if not date_string is defined %}
    {%- set date_string = "1 Jan 2024" %}
{%- endif %}
{%- if not tools is defined %}
    {%- set tools = none %}
{%- endif %}
{#- The system text is taken out of the messages first. #}
{%- if messages[0]['role'] == 'system' %}
    {%- set system_message = messages[0]['content']|trim %}
    {%- set messages = messages[1:] %}
{%- else %}
    {%- set system_message = "" %}
{%- endif %}
{{- "<|start_header_id|>system<|end_header_id|>\n\n" }}
{%- if builtin_tools is defined or tools is not none %}
    {{- "Tools: " + builtin_tools | reject('equalto', 'code') | join(", ") + "\n\n"}}
{%- endif %}
{{- "Date: " + date_string + "\n\n" }}
{{- system_message }}
{{- "<|eot_id|>" }}
{%- for message in messages %}
    {%- if not (message.role == 'ipython' or message.role == 'tool' or 'tool_calls' in message) %}
        {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n'+ message['content'] | trim + \
'<|eot_id|>' }}
    {%- elif 'tool_calls' in message %}
        {%- if not message.tool_calls|length == 1 %}
            {{- raise_exception("one call at a time") }}
        {%- endif %}
        {%- set tool_call = message.tool_calls[0].function %}
        {%- for arg_name, arg_val in tool_call.arguments | items %}
            {{- arg_name + '="' + arg_val + '"' }}
        {%- endfor %}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start_header_id|>assistant<|end_header_id|>\n\n' }}
{%- endif %}
""",
    "zephyr": """{% for message in messages %}
{% if message['role'] == 'user' %}
{{ '<|user|>\n' + message['content'] + eos_token }}
{% elif message['role'] == 'system' %}
{{ '<|system|>\n' + message['content'] + eos_token }}
{% elif message['role'] == 'assistant' %}
{{ '<|assistant|>\n'  + message['content'] + eos_token }}
{% endif %}
{% if loop.last and add_generation_prompt %}
{{ '<|assistant|>' }}
{% endif %}
{% endfor %}""",
    "gemma-like": """{{ bos_token }}{% if messages[0]['role'] == 'system' %}\
{{ raise_exception('no system turn') }}{% endif %}{% for message in messages %}\
{% if (message['role'] == 'assistant') %}{% set role = 'model' %}{% else %}{% set role = message['role'] %}{% endif %}\
{{ '<start_of_turn>' + role + '\n' + message['content'] | trim + '<end_of_turn>\n' }}{% endfor %}\
{% if add_generation_prompt %}{{'<start_of_turn>model\n'}}{% endif %}""",
    "phi-3-like": """{% for message in messages %}{% if (message['role'] == 'system') and message['content'] %}\
{{'<|system|>\n' + message['content'] + '<|end|>\n'}}{% elif message['role'] == 'user' %}\
{{'<|user|>\n' + message['content'] + '<|end|>\n'}}{% elif message['role'] == 'assistant' %}\
{% generation %}{{'<|assistant|>\n' + message['content'] + '<|end|>\n'}}{% endgeneration %}{% endif %}{% endfor %}\
{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% else %}{{ eos_token }}{% endif %}""",
    "vicuna-like": """{% if not add_generation_prompt is defined %}{% set add_generation_prompt = false %}{% endif %}
{%- for message in messages %}
    {%- if message.role == 'system' %}{{ message.content }} {% continue %}{% endif %}
    {{- {'user': 'USER', 'assistant': 'ASSISTANT'}[message.role] ~ ': ' ~ message.content }}
    {{- ' ' if message.role == 'user' else eos_token }}
{%- endfor %}
{{- 'ASSISTANT:' if add_generation_prompt }}""",
}

LANGUAGE = [
    # White space: trim_blocks, lstrip_blocks, minus and plus.
    "a\n  {% if true %}\n  b\n  {% endif %}\nc\n", "a {% if true %} b {% endif %} c", "a {%- if true -%} b {%- endif -%} c",
    "{% if true %}\n\nb{% endif %}\n\n", "  {{ 'x' }}  \n  {{- 'y' -}}  \nz", "  {%+ if true %}b{%+ endif %}\n\nc",
    "a\n  {# note #}\nb{#- note -#}\n c", "{% if true +%}\nb{% endif %}", "a\r\n{% if true %}\r\nb\r{% endif %}\r\n\r\n",
    # Values and how they print.
    "{{ none }}|{{ true }}|{{ false }}|{{ 3 }}|{{ -4 }}|{{ nothing }}|", "{{ 'a' 'b' \"c\" }}", r"{{ 'a\n\t\\\'\"\x41\u00e9\q' }}",
    "{{ 7 // 2 }} {{ -7 // 2 }} {{ 7 % 3 }} {{ -7 % 3 }} {{ 2 * 3 + 1 }} {{ 2 + 3 * 2 - 1 }}",
    "{{ 'a' ~ 1 ~ none ~ true }}", "{{ 1 + 2 ~ 3 }}", "{{ not true }} {{ not '' }} {{ not not 1 }}",
    # Comparison and logic give their operands, as in Python.
    "{{ 1 < 2 < 3 }} {{ 1 < 3 < 2 }} {{ 'a' < 'b' }} {{ 1 == 1.0 }} {{ true == 1 }} {{ '1' == 1 }}",
    "{{ '' or 'x' }} {{ 'y' and 'z' }} {{ none or 0 }} {{ nothing or 'default' }}",
    "{{ 'a' in 'abc' }} {{ 'd' not in 'abc' }} {{ 2 in [1, 2] }} {{ 'role' in messages[0] }} {{ 'x' in nothing }}",
    "{{ 'x' if 1 > 2 }}|{{ 'x' if 1 > 2 else 'y' if false else 'z' }}",
    # Items, attributes, slices.
    "{{ messages[0].role }} {{ messages[-1]['role'] }} {{ messages[5] is defined }} {{ messages[0].tool_calls is defined }}",
    "{% for m in messages[1:] %}{{ m.role }} {% endfor %}{% for m in messages[:-1] %}{{ m.role }} {% endfor %}",
    "{% for m in messages[::-1] %}{{ m.role }} {% endfor %}{{ 'héllo'[1:3] }}{{ 'abc'[-1] }}{{ [1, 2, 3][::2] | join('-') }}",
    "{{ {'a': 1, 'b': 2}['b'] }}{{ {'a': 1}.get('z', 'none') }}{{ {'a': 1}.a }}{{ (1, 2) | join('') }}",
    # Loops.
    "{% for x in [1, 2, 3] %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.first }}{{ loop.last }}"
    "{{ loop.length }}{{ loop.previtem }}{{ loop.nextitem }} {% endfor %}",
    "{% for x in [1, 2, 3, 4] if x % 2 == 0 %}{{ x }}{{ loop.index }}{% else %}none{% endfor %}",
    "{% for x in [] %}{{ x }}{% else %}none{% endfor %}", "{% for x in [1, 2, 3] %}{% if x == 2 %}{% break %}{% endif %}{{ x }}{% endfor %}",
    "{% for k, v in {'a': 1, 'b': 2}.items() %}{{ k }}={{ v }};{% endfor %}{% for k, v in {'c': 3} | items %}{{ k }}{{ v }}{% endfor %}",
    "{% for x in range(3) %}{{ x }}{% endfor %}{% for x in range(1, 3) %}{{ x }}{% endfor %}",
    "{% set x = 1 %}{% for y in [2] %}{% set x = y %}{{ x }}{% endfor %}{{ x }}", "{% if true %}{% set x = 5 %}{% endif %}{{ x }}",
    "{% set ns = namespace(n=0) %}{% for y in [1, 2] %}{% set ns.n = ns.n + y %}{% endfor %}{{ ns.n }}",
    "{% set a, b = 'x', 'y' %}{{ a }}{{ b }}{% set c %}in{{ a }}side{% endset %}{{ c }}",
    # Filters, tests, methods.
    "{{ '  a b ' | trim }}|{{ ' a ' | trim | upper }}|{{ 'ÄB' | lower }}|{{ 'aXbX' | replace('X', '--') }}|{{ 'abc' | length }}",
    "{{ nothing | default('d') }}{{ '' | default('d') }}{{ '' | default('d', true) }}{{ none | default('d', boolean=true) }}",
    "{{ messages[0] | tojson }}{{ [1, true, none, 'é\n\"'] | tojson }}{{ [] | tojson }}", "{{ [3, 4] | first }}{{ [3, 4] | last }}{{ 5 | string ~ '' }}",
    "{{ 'a' is string }}{{ 1 is number }}{{ messages is iterable }}{{ messages[0] is mapping }}{{ none is none }}{{ x is not defined }}"
    "{{ 3 is odd }}{{ 4 is even }}{{ 9 is divisibleby 3 }}{{ 9 is divisibleby(4) }}{{ 1 is in [1] }}{{ true is true }}{{ 1 is true }}",
    "{{ ' a '.strip() }}|{{ 'xxaxx'.strip('x') }}|{{ 'xxa'.lstrip('x') }}|{{ 'a\u00a0 \n'.rstrip() }}|{{ 'abc'.startswith('ab') }}|"
    "{{ 'abc'.endswith('bc') }}|{{ 'a,b,c'.split(',') | join('/') }}|{{ 'a,b,c'.split(',', 1) | last }}|{{ 'ab'.upper() }}",
    "{{ '-' + 'a' | upper }}", "{{ not nothing is defined }}{{ not 1 == 2 }}", "{{ raise_exception('no') }}",
    "{{ nothing.attribute }}", "{{ 'a' + 1 }}", "{{ 1 < 'a' }}", "{{ messages[0].content.items }}{{ nothing['x'] }}",
]

CHATS = [
    [("user", "Name the ward.")],
    [("system", "Be brief."), ("user", "Name the ward.")],
    [("user", "  spaces around \n"), ("assistant", " Ward 3\n")],
    [("system", " Be brief. "), ("user", "Hi"), ("assistant", "Hello!"), ("user", "Größe? \u4f60\u597d \U0001f642"),
     ("assistant", "<think>\nshort\n</think>\n\n12 m")],
    [("user", "a"), ("user", "b")],
    [("user", "curly {{ braces }} {% if %} 'quotes' \"too\" \\n"), ("assistant", "")],
]


def main():
    out = pathlib.Path(sys.argv[1])
    plain = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizers.Tokenizer(tokenizers.models.BPE()), bos_token="<s>", eos_token="</s>")

    def render(template, messages, generation, tokenizer=plain, tokenize=False):
        # Without strftime_now templates fall back to their own date; the library always gives one, so no
        # template here asks for it.
        try:
            got = tokenizer.apply_chat_template(
                messages, chat_template=template, add_generation_prompt=generation, tokenize=tokenize)
        except (jinja2.exceptions.TemplateError, TypeError, ValueError, KeyError):
            return None
        return list(got["input_ids"]) if tokenize else got

    def chat(turns):
        return [{"role": role, "content": content} for role, content in turns]

    # The library refuses templates that raise before they are rendered for a user turn; so a template is
    # checked by its texts only.
    families = {
        name: {"template": template, "texts": [
            {"open": render(template, chat(turns), True), "closed": render(template, chat(turns), False)}
            for turns in CHATS]}
        for name, template in FAMILIES.items()}
    language = [
        {"template": template, "text": render(template, chat([("user", "u"), ("assistant", "a")]), False)}
        for template in LANGUAGE]
    ids = []
    for kind in ["llama3", "qwen2", "smollm", "llama2", "gpt2"]:
        record = json.loads((HERE.parent / "tokenizers" / f"{kind}.json").read_text())
        tokenizer = transformers.PreTrainedTokenizerFast(
            tokenizer_object=tokenizers.Tokenizer.from_str(json.dumps(record["tokenizer"])),
            bos_token="<s>", eos_token="</s>")
        for family in ["llama-2", "chatml", "zephyr"]:
            for turns in CHATS[:3]:
                ids.append({
                    "tokenizer": kind, "family": family, "chat": CHATS.index(turns),
                    "ids": render(FAMILIES[family], chat(turns), True, tokenizer, True)})
    document = {
        "made_by": {"transformers": transformers.__version__, "tokenizers": tokenizers.__version__,
                    "jinja2": jinja2.__version__, "script": "make.py"},
        "special_tokens": {"bos_token": "<s>", "eos_token": "</s>"},
        "chats": [chat(turns) for turns in CHATS], "families": families, "language": language, "ids": ids}
    (out / "chat.json").write_text(json.dumps(document, ensure_ascii=True, indent=1) + "\n")
    print(sum(row["text"] is None for row in language), "language templates raise;",
          sum(text[key] is None for entry in families.values() for text in entry["texts"] for key in text), "chats raise")


main()
