#!/usr/bin/env python3
"""Definitions of others from the command line: `yarder decom convert`, `check` and `explain` of COSMOS, CSV and GSW's YAML
with packets whose values are known; an XTCE definition in a daemon."""
import json
import os
import socket
import struct

from harness import Daemon, check_identity, free_port, main, wait_for, yarder

COSMOS = '''TELEMETRY INST HEALTH LITTLE_ENDIAN "Health"
  APPEND_ID_ITEM ID 8 UINT 7 "which"
  APPEND_ITEM VOLTS 16 UINT "battery"
    POLY_READ_CONVERSION 0 0.001
    UNITS Volts V
    LIMITS DEFAULT 1 ENABLED 6.0 6.5 8.5 9.0
  APPEND_ITEM MODE 8 UINT
    STATE SAFE 0
    STATE ARMED 1
  APPEND_ITEM TEMP 32 FLOAT
  ITEM LOW 76 12 UINT
  ITEM HIGH 72 4 UINT
'''
CSV = '''name,data_type,bit_length
mode,uint,8
count,uint,16
rate,float,32
'''
GSW = '''measurements:
  - name: altitude
    size: 4
    type: float
    endianness: little
  - name: phase
    size: 1
    type: int
    unsigned: true
  - name: accel
    size: 2
    type: int
    scaling: 0.5
telemetry_packets:
  - name: fc
    port: 10000
    measurements: [altitude, phase, accel]
  - name: other
    port: 10001
    measurements: [phase]
'''
XTCE = '''<?xml version="1.0"?>
<SpaceSystem name="Sat" xmlns="http://www.omg.org/spec/XTCE/20180204"><TelemetryMetaData>
<ParameterTypeSet>
 <IntegerParameterType name="id" signed="false"><IntegerDataEncoding sizeInBits="8"/></IntegerParameterType>
 <IntegerParameterType name="volts" signed="false"><IntegerDataEncoding sizeInBits="16">
  <DefaultCalibrator><PolynomialCalibrator><Term coefficient="0" exponent="0"/><Term coefficient="0.5" exponent="1"/>
  </PolynomialCalibrator></DefaultCalibrator></IntegerDataEncoding>
  <DefaultAlarm><StaticAlarmRanges><CriticalRange minInclusive="0" maxInclusive="100"/></StaticAlarmRanges></DefaultAlarm>
 </IntegerParameterType>
 <EnumeratedParameterType name="mode"><IntegerDataEncoding sizeInBits="8"/>
  <EnumerationList><Enumeration value="0" label="OFF"/><Enumeration value="1" label="ON"/></EnumerationList>
 </EnumeratedParameterType>
</ParameterTypeSet>
<ParameterSet><Parameter name="Id" parameterTypeRef="id"/><Parameter name="Volts" parameterTypeRef="volts"/>
 <Parameter name="Mode" parameterTypeRef="mode"/></ParameterSet>
<ContainerSet>
 <SequenceContainer name="Head" abstract="true"><EntryList><ParameterRefEntry parameterRef="Id"/></EntryList>
 </SequenceContainer>
 <SequenceContainer name="Power"><EntryList><ParameterRefEntry parameterRef="Volts"/><ParameterRefEntry parameterRef="Mode"/>
  </EntryList><BaseContainer containerRef="Head"><RestrictionCriteria><Comparison parameterRef="Id" value="3"/>
  </RestrictionCriteria></BaseContainer></SequenceContainer>
</ContainerSet></TelemetryMetaData></SpaceSystem>
'''


def write(folder, name, text):
    path = os.path.join(folder, name)
    with open(path, 'w') as f:
        f.write(text)
    return path


def converted(folder, name, text, *options):
    """As a person does it: convert, check; the path of what came out."""
    path = write(folder, name, text)
    made = path + '.ydm'
    yarder('decom', 'convert', path, '--output', made, *options, check=0)
    assert ': good: 1 packets' in yarder('decom', 'check', made, check=0).stdout
    return made


def explained(path, packet):
    """(packet, {field: value}): the one document that `explain --json` writes; what was said of the definition is elsewhere."""
    found = json.loads(yarder('decom', 'explain', path, '--packet', packet.hex(), '--json', check=0).stdout)
    return found['packet'], {f['field'].split('.')[-1]: f['value'] for f in found['fields']}


def what_cosmos_says_is_decoded(folder):
    """COSMOS text: little-endian words and bitfields, a polynomial, states; its limits stand in the result"""
    path = converted(folder, 'inst_tlm.txt', COSMOS)
    packet = struct.pack('<BHBfH', 7, 8000, 1, 1.5, 0x1234)
    assert explained(path, packet) == ('INST.HEALTH', {'ID': 7, 'VOLTS': 8, 'MODE': 'ARMED', 'TEMP': 1.5, 'LOW': 0x234, 'HIGH': 1})
    with open(path) as f:
        assert 'limits yellow 6.5..8.5 red 6..9' in f.read()
    refused = yarder('decom', 'explain', path, '--packet', (b'\x08' + packet[1:]).hex())
    assert refused.returncode == 1, 'another ID is another packet'


def what_csv_says_is_decoded(folder):
    """CSV as ccsdspy reads it: the CCSDS header lies in front, and counts"""
    path = converted(folder, 'science.csv', CSV)
    packet = bytes.fromhex('0801c0050006') + struct.pack('>BHf', 2, 258, 1.0)
    name, values = explained(path, packet)
    assert name == 'science' and {k: values[k] for k in ('mode', 'count', 'rate')} == {'mode': 2, 'count': 258, 'rate': 1}, values
    assert values['CCSDS_APID'] == 1 and values['CCSDS_SEQUENCE_COUNT'] == 5


def what_gsw_says_is_decoded(folder):
    """GSW's YAML: one packet of several, by its name; orders, signs and scales"""
    path = converted(folder, 'vehicle.yaml', GSW, '--packet', 'fc')
    assert explained(path, struct.pack('<fB', 1.5, 5) + struct.pack('>h', -2)) == ('fc', {'altitude': 1.5, 'phase': 5, 'accel': -1})


def what_is_wrong_in_them_is_refused_with_its_place(folder):
    """an item of no type, a size that is none, YAML that ends: exit code 1, the line, and nothing is written"""
    for name, text, place in (('a_tlm.txt', COSMOS.replace('VOLTS 16 UINT', 'VOLTS 16 UNIT'), 'a_tlm.txt:3:'),
                              ('b.csv', CSV.replace('uint,16', 'uint,x'), 'b.csv:3:'),
                              ('c.yaml', GSW.replace('    size: 1\n', '    size: one\n'), 'c.yaml:7:')):
        path = write(folder, name, text)
        refused = yarder('decom', 'convert', path, '--output', path + '.ydm', check=1)
        assert place in refused.stderr and not os.path.exists(path + '.ydm'), refused.stderr


def a_daemon_decodes_by_xtce(folder):
    """Decom and Limits by one XTCE file: values and alarms in the log; what does not match is counted; converted to .ydm it
    gives the same"""
    path = write(folder, 'sat.xml', XTCE)
    port = free_port()
    topology = f'''udp :: Udp(listen: "127.0.0.1:{port}") -> decom :: Decom(definition: "{path}")
        -> limits :: Limits(definition: "{path}", pass: true) -> Log(stream: "sat")\n'''
    with Daemon(folder, topology, ports={'udp': port}) as daemon:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            for packet in (struct.pack('>BHB', 3, 100, 1), b'\x04xyz', struct.pack('>BHB', 3, 300, 0)):
                s.sendto(packet, ('127.0.0.1', port))

        def records():
            shown = yarder('log', 'cat', 'sat', '--data', daemon.data, '--json')
            return [json.loads(line) for line in shown.stdout.splitlines()] if shown.returncode == 0 else []
        wait_for(lambda: len([r for r in records() if r['kind'] == 'SAMPLE']) == 6, why='the values of two packets')
        got = {}
        for r in records():
            got.setdefault((r['name'], r['kind']), []).append(r['code'] if r['kind'] == 'STATE' else r['value'])
        assert got['Sat.Volts', 'SAMPLE'] == [50, 150] and got['Sat.Mode', 'SAMPLE'] == ['ON', 'OFF'], got
        assert got['Sat.Volts', 'STATE'] == ['OK', 'OK', 'CRITICAL', 'CRITICAL'], got
        assert daemon.element('decom')['inputs'][0]['rejected'] == 1
        check_identity(daemon.status())
        daemon.stop()
    made = path + '.ydm'
    yarder('decom', 'convert', path, '--output', made, check=0)
    _, values = explained(made, struct.pack('>BHB', 3, 300, 0))
    assert values['Volts'] == 150 and values['Mode'] == 'OFF', values


if __name__ == '__main__':
    main(what_cosmos_says_is_decoded, what_csv_says_is_decoded, what_gsw_says_is_decoded,
         what_is_wrong_in_them_is_refused_with_its_place, a_daemon_decodes_by_xtce)
