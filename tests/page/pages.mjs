// Every page, and who may see it.
import { numbers } from './browser.mjs';

/**
 * All pages: path, and what a guest and somebody with the role `view` get there: a status, or `in` for being led to the
 * sign-in.
 */
export async function pages() {
  const { sent, failed, old, held, waiting } = await numbers();
  const of = (paths, guest, view) => paths.map((path) => ({ path, guest, view }));
  const flow = '/flows/marketplace-leads';
  return [
    ...of(['/', flow, '/flows/partner-leads', '/flows/renewals', '/flows/archive'], 200, 200),
    ...of(
      ['/runs', '/runs?outcome=failed', '/runs?since=2000-01-01&until=2000-01-02', '/health', '/sign-in'],
      200,
      200,
    ),
    ...of([`/runs/${sent}`, `/runs/${failed}`, `/runs/${old}`], 200, 200),
    ...of(['/outbox', `/outbox/${held}`, `/outbox/${waiting}`, '/outbox/1', '/leads', '/check'], 'in', 200),
    ...of([`${flow}/run`, `${flow}/off`, `${flow}/replay`, `${flow}/replay?from=2026-01-01`], 'in', 403),
    ...of([`${flow}/test-mail`, '/flows/archive/on', '/flows/renewals/run', `/runs/${sent}/resubmit`], 'in', 403),
    ...of(['/outbox/retry', `/outbox/${held}/retry`, `/outbox/${held}/drop`], 'in', 403),
    ...of(['/nowhere', '/flows/nobody', '/runs/999999'], 404, 404),
  ];
}
