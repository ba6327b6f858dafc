// The spell and style check. scripts/prose runs it in the root of the repository.

import { selfTest } from './self-test.mjs';
import { findings, makeLinter } from './linter.mjs';
import { allTexts, textOf } from './files.mjs';

const files = process.argv.slice(2);
const linter = await makeLinter();
if (files[0] === '--self-test') {
  await selfTest(linter);
  process.exit(0);
}

const texts = files.length > 0 ? files.map((file) => textOf(file)) : allTexts();
let count = 0;
for (const text of texts) {
  for (const { line, column, what, instead } of await findings(linter, text)) {
    console.log(`${text.file}:${line}:${column}: "${what}" — ${instead}`);
    count += 1;
  }
}
console.log(`${texts.length} files, ${count} ${count === 1 ? 'finding' : 'findings'}`);
process.exit(count > 0 ? 1 : 0);
