// Writes leads into a table of Azurite, which is made if need be:
//     node rows.mjs --port N --table NAME --from 0 --count 3 [--people FILE]
// The file is JSON, a list of what is different in each row: columns, and `customer` with fields of CustomerInfo.
// The same leads as tests/it/support/leads.rs; signed with "Shared Key Lite":
// https://learn.microsoft.com/rest/api/storageservices/authorize-with-shared-key
import { createHmac } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';

const { values: options } = parseArgs({
  options: {
    port: { type: 'string' },
    table: { type: 'string', default: 'marketplaceleads' },
    from: { type: 'string', default: '0' },
    count: { type: 'string' }, // unless said, as many as the file has
    people: { type: 'string' },
  },
});

const ACCOUNT = 'devstoreaccount1';
// Published: https://learn.microsoft.com/azure/storage/common/storage-connect-azurite
const KEY = 'Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==';

async function post(path, body, fine = []) {
  const date = new Date().toUTCString();
  const signed = `${date}\n/${ACCOUNT}/${ACCOUNT}/${path}`;
  const signature = createHmac('sha256', Buffer.from(KEY, 'base64')).update(signed).digest('base64');
  const response = await fetch(`http://127.0.0.1:${options.port}/${ACCOUNT}/${path}`, {
    method: 'POST',
    headers: {
      'x-ms-date': date,
      'x-ms-version': '2019-02-02',
      accept: 'application/json;odata=nometadata',
      prefer: 'return-no-content',
      authorization: `SharedKeyLite ${ACCOUNT}:${signature}`,
      'content-type': 'application/json',
    },
    body: JSON.stringify(body),
  });
  if (!response.ok && !fine.includes(response.status)) {
    throw new Error(`${path}: ${response.status} ${await response.text()}`);
  }
}

await post('Tables', { TableName: options.table }, [409]);
const people = options.people ? JSON.parse(readFileSync(options.people, 'utf8')) : [];
const first = Number(options.from);
for (let number = first; number < first + Number(options.count ?? people.length); number += 1) {
  const { customer: its, ...columns } = people[number - first] ?? {};
  const customer = {
    FirstName: 'Ana',
    LastName: `Silva ${number}`,
    Email: `customer${number}@fabrikam.example`,
    Phone: '+1 425 555 0100',
    Country: 'BR',
    Company: 'Fabrikam & <Co>',
    Title: 'Developer',
    ...its,
  };
  await post(options.table, {
    PartitionKey: `11:2F${(number % 28) + 1}:2F2026`,
    RowKey: `lead-${String(number).padStart(5, '0')}`,
    ActionCode: 'INS',
    LeadSource: 'SPZA-INS|contoso.app',
    OfferDisplayName: 'Contoso App',
    PublisherDisplayName: 'Contoso',
    ProductId: 'contoso.app',
    Description: 'Campaigns: ',
    CreatedTime: '2026-11-23T08:00:00Z',
    CustomerInfo: JSON.stringify(customer),
    ...columns,
  });
}
