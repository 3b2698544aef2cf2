// The reference WebTorrent tracker of npm's `bittorrent-tracker`, WebSocket only.
//
// Usage: node npm-tracker.mjs DIRECTORY_OF_NODE_MODULES PORT
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'

const [modules, port] = process.argv.slice(2)
const { default: Server } = await import(
  pathToFileURL(join(modules, 'bittorrent-tracker', 'server.js')).href
)
const server = new Server({ udp: false, http: false, ws: true, stats: false })
server.on('error', (error) => {
  console.error(error.message)
  process.exit(1)
})
server.on('warning', (error) => console.error(error.message))
server.listen(Number(port), '127.0.0.1', () => console.log('listening'))
