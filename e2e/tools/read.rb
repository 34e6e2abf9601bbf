# Runs the cases in cases.rb: ruby read.rb WORK [READER...]
#
#   WORK/bin             the Step, the stand-in, and the installed readers
#   WORK/not-installed   one line per reader that cannot be installed: its name, a tab, the reason
#   READER...            runs only the cases of these readers
#
# For each case, runs the Step and reads its outputs with envman. Then runs the tool's own code with only these
# variables, and without a network if the system supports that. Prints one line per case, and `N passed, N failed`
# at the end.

require 'etc'
require 'fileutils'
require 'jwt'
require 'json'
require 'net/http'
require 'open3'
require 'openssl'
require 'tmpdir'

require_relative 'cases'

WORK = File.realpath(ARGV.shift)
ONLY = ARGV.freeze
BIN = File.join(WORK, 'bin')
NOT_INSTALLED = File.readlines(File.join(WORK, 'not-installed'), chomp: true).to_h { |line| line.split("\t", 2) }.freeze
BASE_VARIABLES = %w[PATH HOME TMPDIR LANG].freeze

# Removes even loopback, because readers need no network.
WITHOUT_NETWORK = [%w[unshare --net], %w[unshare --map-root-user --net]].find do |command|
  system(*command, 'true', out: File::NULL, err: File::NULL)
end.to_a.freeze

# --- The credentials --------------------------------------------------------------

def new_key(name)
  private_key, public_key = %w[p8 pem].map { |ending| File.join(WORK, "#{name}.#{ending}") }
  system(File.join(BIN, 'stand-in'), 'new-key', private_key, public_key, exception: true)
  OpenSSL::PKey.read(File.read(private_key))
end

ISSUER = '69a6de7f-03bb-47e3-e053-5b8c7c11a4d1'
TEAM = 'TEAM123456'
# The key IDs look like numbers to YAML, to test that they are quoted.
KEYS = {
  team_key: { key_id: '1234567E12', issuer_id: ISSUER, key: new_key('team_key') },
  individual_key: { key_id: '0123456701', issuer_id: nil, key: new_key('individual_key') }
}.freeze
APPLE_ID = { apple_id: 'jane@example.com', password: %q(pa$$HOME "q" 'a' #c),
             app_password: 'abcd-efgh-ijkl-mnop' }.freeze

INPUTS = {
  team_key: { api_key_path: File.join(WORK, 'team_key.p8'), api_key_id: KEYS[:team_key][:key_id], api_issuer: ISSUER,
              team_id: TEAM },
  individual_key: { api_key_path: File.join(WORK, 'individual_key.p8'), api_key_id: KEYS[:individual_key][:key_id],
                    api_key_type: 'individual', team_id: TEAM },
  apple_id: APPLE_ID.merge(team_id: TEAM),
  apple_id_without_team: APPLE_ID
}.then { |inputs| inputs.merge(team_key_without_team: inputs[:team_key].except(:team_id)) }.freeze

# The value of a variable in a case's `sets`. `name`: a symbol such as :key_path.
def resolve(name, kind, folder)
  key = KEYS[kind]
  case name
  when :key_path then INPUTS[kind][:api_key_path]
  when :key_reference then "@file:#{INPUTS[kind][:api_key_path]}"
  when :rcodesign_json
    fields = { key_id: key[:key_id], private_key: [key[:key].private_to_der].pack('m0') }
    fields[:issuer_id] = key[:issuer_id] if key[:issuer_id]
    File.join(folder, 'rcodesign.json').tap { |path| File.write(path, JSON.generate(fields)) }
  when :empty then ''
  else (key || {})[name] || APPLE_ID.fetch(name)
  end
end

# --- Running the Step -------------------------------------------------------------

def base_environment(folder)
  { 'PATH' => ENV.fetch('PATH'), 'LANG' => 'C.UTF-8', 'HOME' => File.join(folder, 'home'),
    'TMPDIR' => File.join(folder, 'tmp') }.each { |name, path| FileUtils.mkdir_p(path) if name =~ /HOME|TMPDIR/ }
end

StepRun = Struct.new(:variables, :log, :ok, keyword_init: true)

# The default of `export_for`, and all tools. CONFLICTS are tools that need different values of the same variable.
DEFAULT = %w[bitrise fastlane fastlane_api_key_path xcode].freeze
ALL = DEFAULT + %w[connection spaceship asc] + CASES.map(&:tool).compact.uniq
CONFLICTS = { 'tauri' => 'electron', 'electron' => 'tauri' }.freeze

# Runs the Step and returns the variables that the next Step would see.
def run_step(tools, kind, folder)
  envstore = File.join(folder, 'envstore.yml')
  File.write(envstore, '')
  environment = base_environment(folder).merge('ENVMAN_ENVSTORE_PATH' => envstore)
  inputs = INPUTS.fetch(kind).merge(connection: 'off', verify: 'no', build_annotation: 'never',
                                    export_for: tools.join(','))
  log, status = Open3.capture2e(environment.merge(inputs.transform_keys(&:to_s)),
                                File.join(BIN, 'apple-services-connection'), unsetenv_others: true, stdin_data: '')
  output, = Open3.capture2(environment, 'envman', 'run', RbConfig.ruby, '-rjson', '-e', 'print ENV.to_h.to_json',
                         unsetenv_others: true)
  StepRun.new(variables: JSON.parse(output).reject { |name, _| BASE_VARIABLES.include?(name) || name == 'ENVMAN_ENVSTORE_PATH' },
               log: log, ok: status.success?)
end

# Warnings are yellow.
def warns_about?(tool, log)
  log.scan(/\e\[33;1m(.*?)\e\[0m/m).flatten.any? { |warning| warning.match?(/\b#{Regexp.escape(tool)}\b/) }
end

# --- Running a reader -------------------------------------------------------------

# The credential that the tool's own code reads, or its error message, which does not matter for equality.
Outcome = Struct.new(:found, :rejection, :token, keyword_init: true) do
  def ==(other)
    rejection.nil? == other.rejection.nil? && found == other.found
  end
end

# Runs the reader with only these variables.
def run_reader(reader, variables, folder)
  environment = base_environment(folder).merge(variables)
  cwd = File.join(folder, 'cwd').tap { |path| FileUtils.mkdir_p(path) }
  output, errors, status = Open3.capture3(environment, *WITHOUT_NETWORK, File.join(BIN, reader.first), *reader.drop(1),
                                           chdir: cwd, unsetenv_others: true, stdin_data: '')
  return Outcome.new(rejection: errors + output) unless status.success?

  found = JSON.parse(output.lines.last, symbolize_names: true).compact
  found = parse_notarytool(found[:notarytool]) if found[:notarytool]
  token = found.delete(:token) || (sign(found) if found[:key])
  found.merge!(parse_token(token)) if token
  Outcome.new(found: found.reject { |name, _| name == :key }, token: token)
end

# The arguments with which the tool runs Apple's notarytool, which reads the key and signs a token with it.
def parse_notarytool(arguments)
  options = arguments.drop_while { |argument| !argument.start_with?('--') }.each_cons(2).to_h
  { key: options['--key'] && File.read(options['--key']), key_id: options['--key-id'], issuer_id: options['--issuer'],
    apple_id: options['--apple-id'], app_password: options['--password'], team_id: options['--team-id'] }.compact
end

# Signs a token like Apple's tools and servers do with the key that they receive.
def sign(found)
  subject = found[:issuer_id] ? { iss: found[:issuer_id] } : { sub: 'user' }
  claims = subject.merge(iat: Time.now.to_i, exp: Time.now.to_i + 600, aud: 'appstoreconnect-v1')
  JWT.encode(claims, OpenSSL::PKey.read(found[:key]), 'ES256', kid: found[:key_id], typ: 'JWT')
end

def parse_token(token)
  claims, header = JWT.decode(token, nil, false)
  signer = KEYS.find do |_, key|
    JWT.decode(token, key[:key], true, algorithm: 'ES256')
  rescue JWT::DecodeError
    false
  end
  { key_id: header['kid'], issuer_id: claims['iss'], signer: signer&.first }.compact
end

REQUEST_LOCK = Mutex.new

# Sends the token to the stand-in. Returns nil if it accepts the token, or the reason if it rejects it.
def verify(token, kind)
  uri = URI("#{ORIGIN}/asc/#{kind}/v1/apps?limit=1")
  REQUEST_LOCK.synchronize do
    response = Net::HTTP.get_response(uri, 'Authorization' => "Bearer #{token}")
    return if response.is_a?(Net::HTTPOK)

    JSON.parse(File.readlines(File.join(WORK, 'root', 'requests.jsonl')).last)['verdict']['refused']
  end
end

# --- Running a case ---------------------------------------------------------------

def run_step_for(case_, folder)
  run = run_step([*DEFAULT, *case_.tool], case_.kind, folder)
  raise "the Step failed:\n#{run.log.lines.last(3).join}" unless run.ok

  run
end

def check_warning(case_, log)
  return if !case_.warned || warns_about?(case_.tool, log)

  raise "the Step does not warn that #{case_.tool} can't use the credential"
end

def run_case(case_, folder)
  run = run_step_for(case_, folder)
  check_warning(case_, run.log)
  variables = run.variables
  variables = variables.merge(case_.sets.transform_values { |name| resolve(name, case_.kind, folder) }) if case_.sets
  outcome = run_reader(case_.reader, variables, folder)

  if case_.rejects
    raise "expected a rejection, but the tool read #{outcome.found.inspect}" unless outcome.rejection
    raise "unexpected error message of the tool:\n#{outcome.rejection}" unless outcome.rejection.match?(case_.rejects)

    return "rejected: #{outcome.rejection[case_.rejects]}"
  end
  raise "the tool rejects the credential:\n#{outcome.rejection}" if outcome.rejection

  if case_.token_rejected
    reason = verify(outcome.token, case_.kind)
    raise "the stand-in accepts the token" unless reason
    raise "the stand-in rejects the token for another reason: #{reason}" unless reason.match?(case_.token_rejected)

    return "signs a token that Apple rejects: #{reason}"
  end
  check_values(case_, outcome)
  check_variables(case_, outcome, variables, folder)
  check_other_tools(case_, outcome, variables, folder)
  "#{case_.kind == :apple_id ? 'Apple ID' : 'key'} read from #{case_.reads.join(', ')}" \
    "#{'; token accepted' if outcome.token}"
end

def check_values(case_, outcome)
  expected = APPLE_ID.merge(team_id: TEAM).merge(KEYS[case_.kind]&.slice(:key_id, :issuer_id) || {})
  case_.finds.each do |name|
    raise "#{name} is #{outcome.found[name].inspect}, not #{expected[name].inspect}" if outcome.found[name] != expected[name]
  end
  return unless KEYS.key?(case_.kind)

  raise 'the reader printed no token' unless outcome.token

  reason = verify(outcome.token, case_.kind)
  raise "the stand-in rejects the token: #{reason}" if reason
end

# The tool reads a variable if the outcome differs without it.
def check_variables(case_, outcome, variables, folder)
  without = ->(names) { run_reader(case_.reader, variables.except(*names), folder) }
  unread = case_.reads.select { |name| without.([name]) == outcome }
  raise "the tool does not read #{unread.join(', ')}" if unread.any?

  others = variables.keys - case_.reads
  return if without.(others) == outcome

  also_read = others.reject { |name| without.([name]) == outcome }
  raise "the tool also reads some of #{(also_read.any? ? also_read : others).join(', ')}"
end

# The outcome must stay the same if the Step also exports for all other tools that don't conflict.
def check_other_tools(case_, outcome, variables, folder)
  run = run_step(ALL - [CONFLICTS.fetch(case_.tool, 'tauri')], case_.kind, folder)
  raise "the Step failed:\n#{run.log.lines.last(3).join}" unless run.ok
  return if run_reader(case_.reader, run.variables.merge(variables), folder) == outcome

  raise "the tool also reads some of #{(run.variables.keys - variables.keys).join(', ')}"
end

# --- Main -------------------------------------------------------------------------

def start_stand_in
  root = File.join(WORK, 'root')
  FileUtils.mkdir_p(File.join(root, 'apple'))
  KEYS.each do |kind, key|
    FileUtils.cp(File.join(WORK, "#{kind}.pem"), File.join(root, 'apple', "#{kind}.pem"))
    account = { public_key_path: "apple/#{kind}.pem", enterprise: false, **key.slice(:key_id, :issuer_id) }
    File.write(File.join(root, 'apple', "#{kind}.json"), JSON.generate(account))
  end
  FileUtils.rm_f(File.join(root, 'origin'))
  # The stand-in exits when its standard input closes, so it never outlives this program.
  stdin = IO.popen([File.join(BIN, 'stand-in'), '--root', root, '--token', 'unused'], 'w')
  100.times { File.size?(File.join(root, 'origin')) ? break : sleep(0.1) }
  [stdin, File.read(File.join(root, 'origin')).chomp]
end

STAND_IN, ORIGIN = start_stand_in
OUTPUT_LOCK = Mutex.new
VERSIONS = Hash.new do |known, reader|
  known[reader] = Open3.capture2(File.join(BIN, reader), '--version', stdin_data: '').first.strip
end

def title(case_)
  reader, *arguments = case_.reader
  version = VERSIONS[reader] unless NOT_INSTALLED.key?(reader)
  command = [reader, version, *arguments].compact.join(' ')
  "#{command}, #{case_.kind.to_s.tr('_', ' ')}#{", #{case_.note}" if case_.note}"
end

def report(case_)
  reader = case_.reader.first
  raise "cannot be installed: #{NOT_INSTALLED[reader]}" if NOT_INSTALLED.key?(reader)

  result = Dir.mktmpdir('case', WORK) { |folder| run_case(case_, folder) }
  ['ok      ', result, true]
rescue StandardError => e
  raise unless e.instance_of?(RuntimeError)

  ['FAILED  ', e.message.gsub("\n", "\n          | "), false]
end

chosen = CASES.select { |case_| ONLY.empty? || ONLY.include?(case_.reader.first) }
unknown = ONLY - CASES.map { |case_| case_.reader.first }
abort "cases.rb has no reader #{unknown.join(', ')}" if unknown.any?

queue = Queue.new
chosen.each { |case_| queue << case_ }
queue.close
passed = failed = 0
Array.new(Etc.nprocessors) do
  Thread.new do
    while (case_ = queue.pop)
      mark, result, ok = report(case_)
      OUTPUT_LOCK.synchronize do
        ok ? passed += 1 : failed += 1
        puts "#{mark}#{title(case_)}: #{result}"
        $stdout.flush
      end
    end
  end
end.each(&:join)
STAND_IN.close
puts "#{passed} passed, #{failed} failed"
exit(failed.zero? && passed == chosen.length)
