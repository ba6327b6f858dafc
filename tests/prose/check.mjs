// The spell and style check; scripts/prose says how it is called.

import { relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { allTexts, textOf } from './files.mjs';
import { findings, makeLinter } from './linter.mjs';
import { selfTest } from './self-test.mjs';

const root = fileURLToPath(new URL('../..', import.meta.url));
const counted = (count, noun) => `${count} ${noun}${count === 1 ? '' : 's'}`;

async function main(given) {
  if (given[0] === '--self-test') return selfTest(await makeLinter());
  const files = given.map((file) => relative(root, resolve(file)));
  process.chdir(root);
  const texts = files.length > 0 ? files.map((file) => textOf(file)) : allTexts();
  const linter = await makeLinter();
  let count = 0;
  for (const text of texts) {
    for (const { line, column, what, instead } of await findings(linter, text)) {
      console.log(`${text.file}:${line}:${column}: "${what}" — ${instead}`);
      count += 1;
    }
  }
  console.log(`${counted(texts.length, 'file')}, ${counted(count, 'finding')}`);
  return count === 0;
}

try {
  process.exit((await main(process.argv.slice(2))) ? 0 : 1);
} catch (error) {
  console.error(error.message);
  process.exit(2);
}
