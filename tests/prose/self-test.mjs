// Mistakes that the check must find, and what it must leave alone.

import { textOf } from './files.mjs';
import { findings, phrases } from './linter.mjs';

const PLANTED = [
  ['docs/planted.md', 'The daemon reads the tabel again.', ['tabel']],
  ['docs/planted.md', 'The color of a mail.', ['color']],
  ['docs/planted.md', 'The file is read\nanew. It has 3 problems to mend.', ['anew', 'mend']],
  ['docs/planted.md', 'There is no table, `is no tabel`, https://tabel.example and [a link](tabel.md).\n\n```\ntabel anew\n```\n', []],
  ['planted.toml', '# A mistaek of the owner\n[flows.tabel]\n# tabel = "tabel"\nkey = 1  # read anew', ['mistaek', 'anew']],
  ['planted.html.hbs', '<style>tabel</style><p class="tabel">{{#if tabel}}New <b>leads</b> in the tabel{{/if}}</p>', ['tabel']],
  ['src/planted.rs', 'fn f() { bail!("`{zone}` is no time \\\n    zone: {} of the tabel", f("tabel")); }', ['is no', 'tabel']],
  ['src/planted.rs', '#[derive(Parser)]\nstruct A {\n    /// Read the\n    /// tabel\n    a: u8,\n}\n/// tabel\nfn f() {}', ['tabel']],
  ['src/planted.rs', '#[expect(x, reason = "a tabel")]\nfn f() {}\n#[cfg(test)]\nmod tests { const A: &str = "a tabel"; }', []],
];

// Whether the check finds all of them, and nothing else.
export async function selfTest(linter) {
  const failed = [];
  for (const [file, source, expected] of PLANTED) {
    const text = textOf(file, new Set(), source);
    const found = await findings(linter, text);
    const words = found.map(({ what }) => what);
    if (JSON.stringify(words) !== JSON.stringify(expected)) failed.push([source, 'expected', expected, 'found', words]);
    for (const { what, line } of found) {
      if (!source.split('\n')[line - 1].includes(what.split(' ').at(-1))) failed.push([source, what, 'is not in line', line]);
    }
  }
  for (const { rule, example } of phrases) {
    const found = await findings(linter, textOf('docs/planted.md', new Set(), `${example}\n`));
    if (!found.some((finding) => finding.rule === rule)) failed.push([rule, 'does not find its example:', example]);
  }
  for (const line of failed) console.error(...line);
  if (failed.length === 0) console.log(`self-test: all ${PLANTED.length} planted texts and ${phrases.length} phrases are found as they should be`);
  return failed.length === 0;
}
