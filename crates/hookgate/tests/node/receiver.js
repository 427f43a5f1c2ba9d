// Receives what Hookgate delivers, and verifies each call as a customer would: with the published libraries, or, for a public
// key, with Node's own Ed25519. Takes its keys as arguments, or by PUT /keys; prints its port; answers 204 to a call that a key
// verifies and 400 to any other; GET /received lists what came, with the keys that verified it. Ends when its standard input
// does.
'use strict'

const crypto = require('crypto')
const http = require('http')
const { Webhook: StandardWebhook } = require('standardwebhooks')
const { Webhook: SvixWebhook } = require('svix')

let keys = process.argv.slice(2)
const received = []

// Throws unless one of the signatures is the key's.
function verify(key, body, headers) {
  if (!key.startsWith('whpk_')) {
    new StandardWebhook(key).verify(body, headers)
    new SvixWebhook(key).verify(body, headers)
    return
  }
  const x = Buffer.from(key.slice('whpk_'.length), 'base64').toString('base64url')
  const publicKey = crypto.createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x }, format: 'jwk' })
  const content = Buffer.from(`${headers['webhook-id']}.${headers['webhook-timestamp']}.${body}`)
  const signatures = headers['webhook-signature'].split(' ').filter((signature) => signature.startsWith('v1a,'))
  const isOurs = (signature) => crypto.verify(null, content, publicKey, Buffer.from(signature.slice('v1a,'.length), 'base64'))
  if (!signatures.some(isOurs)) throw new Error('no signature of this key')
}

function verifies(key, body, headers) {
  try {
    verify(key, body, headers)
    return true
  } catch (reason) {
    return false
  }
}

const server = http.createServer((request, response) => {
  const chunks = []
  request.on('data', (chunk) => chunks.push(chunk))
  request.on('end', () => {
    const body = Buffer.concat(chunks).toString('utf8')
    if (request.method === 'GET') {
      response.setHeader('content-type', 'application/json')
      response.end(JSON.stringify(received))
      return
    }
    if (request.method === 'PUT') {
      keys = JSON.parse(body)
      response.end()
      return
    }
    const { headers } = request
    const verified = keys.filter((key) => verifies(key, body, headers) && !verifies(key, body + ' ', headers))
    received.push({ id: headers['webhook-id'], event: headers['x-github-event'], body, verified })
    response.statusCode = verified.length > 0 ? 204 : 400
    response.end()
  })
})

server.listen(0, '127.0.0.1', () => console.log(server.address().port))
process.stdin.on('end', () => process.exit(0)).resume()
