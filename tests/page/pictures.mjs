// Pictures of every page, for people to look at:
//     tests/page/run --pictures
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { launch, PAGE, PASSWORD, signIn } from './browser.mjs';
import { pages } from './pages.mjs';

const [folder] = process.argv.slice(2);
const LOOKS = {
  light: { viewport: { width: 1440, height: 900 } },
  dark: { viewport: { width: 1440, height: 900 }, colorScheme: 'dark' },
  narrow: { viewport: { width: 360, height: 740 } },
  korean: { viewport: { width: 1440, height: 900 }, locale: 'ko-KR' },
};

const browser = await launch();
const first = await browser.newContext({ baseURL: PAGE });
await signIn(await first.newPage(), 'anna', PASSWORD);
const storageState = await first.storageState();
const all = (await pages()).map(({ path }) => path);
for (const [look, options] of Object.entries(LOOKS)) {
  mkdirSync(join(folder, look), { recursive: true });
  const page = await (await browser.newContext({ baseURL: PAGE, storageState, ...options })).newPage();
  const shoot = (name) => page.screenshot({ path: join(folder, look, `${name}.png`), fullPage: true });
  for (const path of all) {
    await page.goto(path);
    // What is loaded when it comes into sight.
    for (const frame of await page.locator('iframe').all()) await frame.scrollIntoViewIfNeeded();
    await page.waitForLoadState('networkidle');
    await shoot(path.replace(/\W+/g, '-').replace(/^-/, '') || 'flows');
  }
  await page.goto('/leads?flow=marketplace-leads');
  await page.locator('main form[action="/leads/proof"] button').first().click();
  await shoot('proof');
}
// Of the documents: docs/page.png and docs/page-run.png.
const window = { viewport: { width: 1200, height: 800 } };
const page = await (await browser.newContext({ baseURL: PAGE, storageState, ...window })).newPage();
for (const [name, path] of [
  ['page', '/flows/marketplace-leads'],
  ['page-run', all.find((it) => it.startsWith('/runs/'))],
]) {
  await page.goto(path);
  for (const step of await page.locator('ol.steps summary', { hasText: 'query' }).all()) await step.click();
  await page.mouse.move(0, 0);
  await page.evaluate(() => document.activeElement.blur());
  await page.screenshot({ path: join(folder, `${name}.png`) });
}
await browser.close();
console.log(`the pictures are in ${folder}`);
