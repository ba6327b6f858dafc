// The little script: it refreshes, and keeps a form from being sent twice.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { api, done, eventually, open, withBrowser, writeLeads } from './browser.mjs';

withBrowser();

const A_WHILE = 31_000;

test('a page that is left open shows what has changed', async () => {
  const page = await open('anna');
  await page.clock.install();
  await page.goto('/flows/archive');
  const other = await open('anna');
  await other.goto('/flows/archive/on');
  await other.getByRole('button', { name: 'Turn on' }).click();
  await other.waitForURL('**/flows/archive');
  assert.match(await page.locator('.line').innerText(), /^off/);
  await page.clock.runFor(A_WHILE);
  await eventually('the page to be refreshed', async () => /^on/.test(await page.locator('.line').innerText()));
  await other.goto('/flows/archive/off');
  await other.getByRole('button', { name: 'Turn off' }).click();
  await other.waitForURL('**/flows/archive');
  await page.clock.runFor(A_WHILE);
  await eventually('the page to be refreshed again', async () => /^off/.test(await page.locator('.line').innerText()));
  await done(other);
  await done(page);
});

test('a page in which somebody is at work is not replaced', async () => {
  const page = await open('anna');
  await page.clock.install();
  await page.goto('/runs');
  await page.getByLabel('From').focus();
  let fetched = 0;
  page.on('request', () => {
    fetched += 1;
  });
  await page.clock.runFor(A_WHILE);
  await page.locator('h1').click();
  assert.equal(fetched, 0);
  await page.clock.runFor(A_WHILE);
  await eventually('it to be refreshed when nobody is', () => fetched === 1);
  await done(page);
});

test('a form that is sent twice asks once', async () => {
  writeLeads([{ customer: { FirstName: 'Twice' } }]);
  const page = await open('anna');
  await page.goto('/flows/marketplace-leads/run');
  let sent = 0;
  page.on('request', (request) => {
    sent += request.method() === 'POST' ? 1 : 0;
  });
  const before = (await api('/runs'))[0].run;
  const box = await page.getByRole('button', { name: 'Run now' }).boundingBox();
  const [x, y] = [box.x + box.width / 2, box.y + box.height / 2];
  // Somebody who clicks until something happens: the answer comes with the next tick of the daemon.
  for (let time = 0; time < 3; time += 1) await page.mouse.click(x, y);
  await page.keyboard.press('Enter');
  await page.waitForURL('**/runs/*');
  assert.equal(sent, 1);
  const after = (await api('/runs?flow=marketplace-leads')).filter((it) => it.run > before);
  assert.equal(after.length, 1);
  await done(page);
});
