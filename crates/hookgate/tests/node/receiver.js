// Receives what Hookgate delivers, and verifies each call with the published library, as a customer would.
// Takes the secret as its argument; prints its port; answers 204 to a verified call and 400 to any other;
// GET /received lists what came. Ends when its standard input does.
'use strict'

const http = require('http')
const { Webhook } = require('standardwebhooks')

const webhook = new Webhook(process.argv[2])
const received = []

const server = http.createServer((request, response) => {
  const chunks = []
  request.on('data', (chunk) => chunks.push(chunk))
  request.on('end', () => {
    if (request.method === 'GET') {
      response.setHeader('content-type', 'application/json')
      response.end(JSON.stringify(received))
      return
    }
    const body = Buffer.concat(chunks).toString('utf8')
    let error = null
    try {
      webhook.verify(body, request.headers)
    } catch (reason) {
      error = String(reason)
    }
    received.push({ id: request.headers['webhook-id'], event: request.headers['x-github-event'], body, error })
    response.statusCode = error === null ? 204 : 400
    response.end()
  })
})

server.listen(0, '127.0.0.1', () => console.log(server.address().port))
process.stdin.on('end', () => process.exit(0)).resume()
